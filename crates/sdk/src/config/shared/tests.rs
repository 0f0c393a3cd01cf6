#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use trunkline_core::config::{Diagnostic, parse};

use super::super::{JourneyMode, Ordering, RateLimit};
use super::*;

fn read(text: &str) -> Result<Shared, Vec<Diagnostic>> {
    let mut diagnostics = Diagnostics::new();
    let shared = Shared::read(parse("t.yaml", text).unwrap(), Path::new("."), &mut diagnostics);
    let list = diagnostics.into_sorted();
    shared.filter(|_| list.is_empty()).ok_or(list)
}

/// Expects exactly these mistakes: line, column, code and a part of the message or the hint.
#[track_caller]
fn check(text: &str, expected: &[(usize, usize, &str, &str)]) {
    let found = read(text).unwrap_err();
    let places: Vec<_> =
        found.iter().map(|found| (found.place.line, found.place.column, found.code)).collect();
    let wanted: Vec<_> = expected.iter().map(|(line, column, code, _)| (*line, *column, *code)).collect();
    assert_eq!(places, wanted, "{found:#?}");
    for (found, (.., part)) in found.iter().zip(expected) {
        assert!(found.to_string().contains(part), "{found} does not say {part:?}");
    }
}

#[test]
fn an_empty_configuration_has_the_documented_defaults() {
    let shared = read("version: 1").unwrap();
    assert_eq!(shared.broker, BrokerSettings::of("embedded:./data"));
    assert_eq!(shared.store, "sqlite:./data/store.db");
    assert_eq!(shared.channels, ChannelsSettings::default());
    assert!(shared.sources.is_empty() && shared.destinations.is_empty() && shared.types.is_empty());
    // A section without a value is as good as left out.
    read("version: 1\ndestinations:\nchannels:\n").unwrap();
}

#[test]
fn everything_beside_an_adapters_settings_is_read() {
    let shared = read(
        r#"
version: 1
broker: embedded:/var/lib/trunkline
channels: { prefix: test., partitions: 8, max_record: 8MiB, events: { keep: 1d }, journey: { keep: 2h, steps: failures } }
sources:
  shop: { adapter: shopify, settings: { secret: "${env:SECRET}" } }
destinations:
  crm:
    adapter: http
    settings: { url: "https://example.com" }
    timeout: 5s
    concurrency: 2
    rate_limit: 10/s
    ordering: none
    retry: { max_attempts: 3, max_age: 1h, first: 2s, max: 1m, factor: 1.5, max_retry_after: 5m }
    circuit: { failures: 0, pause: 1m }
    probe_every: 10s
  theirs: { external: true }
"#,
    )
    .unwrap();
    let crm = &shared.destinations[&DestinationName::parse("crm").unwrap()];
    assert_eq!(crm.adapter.as_deref(), Some("http"));
    assert_eq!(crm.settings.get("url").unwrap().as_text(), Some("https://example.com"));
    let runtime = &crm.runtime;
    assert_eq!(runtime.rate_limit, Some(RateLimit { count: 10, per: Duration::from_secs(1) }));
    assert_eq!((runtime.ordering, runtime.concurrency), (Ordering::None, 2));
    assert_eq!((runtime.retry.max_attempts, runtime.retry.factor), (3, 1.5));
    assert_eq!(runtime.retry.max_retry_after, Duration::from_secs(300));
    assert_eq!((runtime.circuit_failures, runtime.circuit_pause), (0, Duration::from_secs(60)));
    let theirs = &shared.destinations[&DestinationName::parse("theirs").unwrap()];
    assert!(theirs.external && theirs.adapter.is_none() && theirs.settings.entries().count() == 0);
    assert_eq!((shared.channels.partitions, shared.channels.max_record), (8, 8 << 20));
    assert_eq!(shared.channels.journey, JourneyMode::Failures);
    assert_eq!(shared.channels.events_keep, Duration::from_secs(86_400));

    let channels = crate::topology::channels(&shared);
    let names: Vec<&str> = channels.iter().map(|spec| spec.name.as_str()).collect();
    let wanted =
        ["events", "journey", "dead.router", "dead.gateway", "deliver.crm", "dead.crm", "deliver.theirs"];
    assert_eq!(names[..7], wanted);
    assert!(channels.iter().all(|spec| spec.max_record == 8 << 20));
}

#[test]
fn the_document_itself() {
    check("{}", &[(1, 1, "TL-C012", "`version` is missing")]);
    check("version: 2", &[(1, 10, "TL-C012", "version 1 only")]);
    check("version: 1\ndestination: {}", &[(2, 1, "TL-C002", "did you mean `destinations`?")]);
    check("version: 1\nzebra: {}", &[(2, 1, "TL-C002", "there are version, broker,")]);
    check("version: 1\nsources: []", &[(2, 10, "TL-C003", "")]);
}

#[test]
fn one_bad_entry_hides_no_other() {
    check(
        "version: 1
sources:
  Shop: { adapter: shopify }
destinations:
  router: { adapter: http }
  crm: { adapter: http, concurency: 4 }
  erp: { adapter: http, timeout: soon, rate_limit: fast }
  helpdesk: { settings: {} }
  theirs: { external: yes }
channels: { partitions: 0 }
",
        &[
            (3, 3, "TL-C006", "`Shop`"),
            (5, 3, "TL-C006", "`router` is reserved"),
            (6, 25, "TL-C002", "did you mean `concurrency`?"),
            (7, 34, "TL-C003", "soon"),
            (7, 52, "TL-C003", "fast"),
            (8, 13, "TL-C004", "`adapter` is missing"),
            (9, 23, "TL-C003", "true or false"),
            (10, 25, "TL-C003", "at least 1"),
        ],
    );
}

#[test]
fn values_that_make_no_sense() {
    check(
        "version: 1
destinations:
  crm:
    adapter: http
    concurrency: 0
    retry: { max_attempts: 0, factor: 0.5, first: 2h }
",
        &[
            (5, 18, "TL-C003", "at least 1"),
            (6, 28, "TL-C003", "at least 1"),
            (6, 39, "TL-C003", "at least 1"),
            (6, 51, "TL-C003", "longer than `max`"),
        ],
    );
}

#[test]
fn a_teams_own_types() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("types.bin"), trunkline_proto::DESCRIPTORS).unwrap();
    let text = "version: 1
types:
  order: { descriptor: types.bin, message: trunkline.commerce.v1.Order, events: acme.order. }
  absent: { descriptor: types.bin, message: acme.Absent }
  lost: { descriptor: lost.bin, message: acme.Lost }
";
    let mut diagnostics = Diagnostics::new();
    let root = parse("t.yaml", text).unwrap();
    assert!(Shared::read(root, folder.path(), &mut diagnostics).is_none());
    let found = diagnostics.into_sorted();
    let places: Vec<_> =
        found.iter().map(|found| (found.place.line, found.place.column, found.code)).collect();
    assert_eq!(places, [(4, 45, "TL-C013"), (5, 23, "TL-C013")], "{found:#?}");

    let text = text.lines().take(3).collect::<Vec<_>>().join("\n");
    let shared =
        Shared::read(parse("t.yaml", &text).unwrap(), folder.path(), &mut Diagnostics::new()).unwrap();
    assert_eq!(shared.types["order"].events.as_deref(), Some("acme.order."));
    let registered: Vec<_> = shared.catalogue.registered().collect();
    assert_eq!(registered, [("acme.order", "trunkline.commerce.v1.Order")], "the events that carry it");
}

#[test]
fn keys_are_read_from_a_services_section() {
    let shared =
        read("version: 1\ngateway: { keys: [{ name: shop, secret: \"${env:KEY}\", scopes: [publish] }] }")
            .unwrap();
    let mut diagnostics = Diagnostics::new();
    assert_eq!(shared.keys("gateway", &mut diagnostics).unwrap()[0].name, "shop");
    assert!(shared.keys("console", &mut diagnostics).unwrap().is_empty());

    let literal = "version: 1\nconsole: { keys: [{ name: a, secret: canary, scopes: [reed] }] }";
    assert!(read(literal).unwrap().keys("console", &mut diagnostics).is_none());
    let found = diagnostics.into_sorted();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(!format!("{found:?}").contains("canary"), "{found:#?}");
}
