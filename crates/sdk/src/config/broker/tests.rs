#![allow(clippy::unwrap_used, reason = "a test may panic")]

use trunkline_core::config::parse;

use super::*;

fn read(text: &str) -> (Option<BrokerSettings>, Vec<String>) {
    let root = parse("t.yaml", text).unwrap();
    let mut diagnostics = Diagnostics::new();
    let settings = BrokerSettings::read(root.get("broker").unwrap(), Path::new("."), &mut diagnostics);
    let said = diagnostics.into_sorted().into_iter().map(|found| {
        format!("{}:{} {} {}: {}", found.place.line, found.place.column, found.code, found.path, found)
    });
    (settings, said.collect())
}

/// Expects exactly these mistakes, each by how it begins and a part of what it says.
#[track_caller]
fn check(text: &str, expected: &[(&str, &str)]) {
    let (settings, found) = read(text);
    assert_eq!(settings.is_none(), !expected.is_empty(), "{found:#?}");
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, (begin, part)) in found.iter().zip(expected) {
        assert!(found.starts_with(begin) && found.contains(part), "{found} is not {begin} .. {part}");
    }
}

#[test]
fn an_address_is_enough() {
    for url in
        ["embedded:./data", "kafka://k1:9092,k2", "amqp://u:p@h/bus", "amqps://h", "${env:TRUNKLINE_NONE}"]
    {
        let (settings, found) = read(&format!("broker: \"{url}\""));
        assert_eq!(settings, Some(BrokerSettings::of(url)), "{found:#?}");
    }
}

#[test]
fn everything_a_kafka_cluster_needs_is_read() {
    let (settings, found) = read(
        r#"
broker:
  url: kafka://k1:9092,k2:9092
  ensure: verify
  replication: 3
  properties: { sasl.mechanism: SCRAM-SHA-512, sasl.password: "${file:secrets/bus}", socket.keepalive.enable: true, metadata.max.age.ms: 60000 }
  tls: { ca: ca.pem }
"#,
    );
    let settings = settings.unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!((settings.ensure, settings.replication), (Ensure::Verify, Some(3)));
    let text = |name: &str| match &settings.properties[name] {
        Property::Text(text) => text.clone(),
        secret => secret.reference().unwrap().to_string(),
    };
    assert_eq!(text("sasl.mechanism"), "SCRAM-SHA-512");
    assert_eq!(text("sasl.password"), "${file:secrets/bus}");
    assert_eq!((&*text("socket.keepalive.enable"), &*text("metadata.max.age.ms")), ("true", "60000"));
    assert_eq!(settings.tls_files().collect::<Vec<_>>(), [("ca", "ca.pem")]);
}

#[test]
fn mistakes_have_their_places() {
    check("broker: 7", &[("1:9 TL-C003 broker", "an address, or a map with `url`")]);
    check("broker: redis://h", &[("1:9 TL-C003 broker", "`redis`, which is no engine")]);
    check(
        "broker: { uri: kafka://k1 }",
        &[("1:9 TL-C004", "`url`"), ("1:11 TL-C002 broker.uri", "did you mean `url`?")],
    );
    check(
        "broker: { url: kafka://k1, ensure: perhaps }",
        &[("1:36 TL-C003 broker.ensure", "create, verify")],
    );
    check("broker: { url: \"kafka://bus:canary@k1\" }", &[("1:16 TL-C003 broker.url", "broker.properties")]);
    check(
        "broker: { url: kafka://k1, replication: 0 }",
        &[("1:41 TL-C003 broker.replication", "at least 1")],
    );
    check("broker: { url: amqps://h, tls: { certificate: c.pem } }", &[("1:47 TL-C004", "needs its `key`")]);
}

#[test]
fn what_is_not_for_an_engine_is_refused() {
    check(
        "broker: { url: amqp://h, replication: 3, properties: { a: b } }",
        &[
            ("1:26 TL-C002 broker.replication", "quorum queues"),
            ("1:42 TL-C002 broker.properties", "Kafka's client library"),
        ],
    );
    check("broker: { url: amqp://h, tls: { ca: ca.pem } }", &[("1:26 TL-C002 broker.tls", "write amqps://")]);
    check(
        "broker: { url: kafka://k1, management: http://k1 }",
        &[("1:28 TL-C002 broker.management", "RabbitMQ's management plugin")],
    );
    check(
        "broker: { url: amqp://h, management: \"http://u:canary@h:15672\" }",
        &[("1:38 TL-C003 broker.management", "without a user")],
    );
    check(
        "broker: { url: embedded:./data, ensure: verify }",
        &[("1:33 TL-C002 broker.ensure", "no more than its address")],
    );
}

#[test]
fn properties_that_guarantees_rest_on_and_literal_secrets_are_refused() {
    check(
        "broker: { url: kafka://k1, properties: { acks: 1, sasl.password: canary, sasl.username: \"${env}\" } }",
        &[("1:89 TL-C003 broker.properties.sasl.username", "a reference is ${env:NAME}")],
    );
    let text = "broker: { url: kafka://k1, properties: { acks: 1, sasl.password: canary, ssl.ca.location: x }, tls: { ca: y } }";
    check(
        text,
        &[
            ("1:48 TL-C003 broker.properties.acks", "nothing is lost"),
            ("1:66 TL-C007 broker.properties.sasl.password", "must be a reference"),
            ("1:91 TL-C005 broker.properties.ssl.ca.location", "broker.tls.ca"),
        ],
    );
    assert!(!read(text).1.concat().contains("canary"));
}
