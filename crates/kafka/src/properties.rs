//! Options become properties of librdkafka.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::error::ConnectError;
use crate::names::check_prefix;
use crate::options::Options;

/// Properties that can't be set, each with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("acks", "a record counts as stored only when all replicas in sync have it"),
    ("request.required.acks", "a record counts as stored only when all replicas in sync have it"),
    ("allow.auto.create.topics", "channels are created by declaring them"),
    ("auto.offset.reset", "an offset out of range is an error, never a jump"),
    ("bootstrap.servers", "the broker's address names them"),
    ("metadata.broker.list", "the broker's address names them"),
    ("enable.auto.commit", "only settled records are committed"),
    ("enable.auto.offset.store", "only settled records are committed"),
    ("enable.idempotence", "a repeated request must not change the order of a key"),
    ("enable.partition.eof", "the engine sets it where it needs it"),
    ("group.id", "groups are named by the channel prefix and the service"),
    ("group.instance.id", "a consumer that leaves must pass its partitions on at once"),
    ("group.protocol", "leases need the classic protocol's revocations"),
    ("isolation.level", "records of a transaction that was aborted are not events"),
    ("partition.assignment.strategy", "leases need cooperative-sticky"),
    ("partitioner", "all clients must agree which partition a key has"),
    ("transactional.id", "it is made of the channel prefix and the instance's name"),
];

/// Names of the properties that can't be set.
pub const REFUSED_PROPERTIES: &[&str] = &{
    let mut names = [""; REFUSED.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = REFUSED[index].0;
        index += 1;
    }
    names
};

/// The beginning of properties that are the engine's own, not librdkafka's.
pub(crate) const OWN: &str = "trunkline.";

/// Bytes that a record may have beyond those that count against `max_record`: framing and the delay's headers.
pub(crate) const OVERHEAD: usize = 4 << 10;

/// How long a consumer waits for its group's coordinator before it looks for one anew.
const COORDINATOR: Duration = Duration::from_secs(10);

/// Properties only consumers know, and only producers; librdkafka warns when the other kind gets them.
const CONSUMER_ONLY: &[&str] =
    &["fetch.", "queued.", "session.", "heartbeat.", "max.poll.", "check.crcs", "max.partition.fetch.bytes"];
const PRODUCER_ONLY: &[&str] = &[
    "queue.buffering.",
    "linger.ms",
    "batch.",
    "compression.",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "message.send.max.retries",
    "retries",
    "request.timeout.ms",
    "sticky.",
    "transaction.",
];

/// Judges the options before anything is connected.
pub(crate) fn check(options: &Options) -> Result<(), ConnectError> {
    let option = |option, problem: &str| ConnectError::Option { option, problem: problem.to_owned() };
    for name in options.properties.keys() {
        if let Some((name, reason)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            return Err(ConnectError::Refused((*name).to_owned(), reason));
        }
    }
    check_prefix(&options.prefix).map_err(|problem| ConnectError::Option { option: "prefix", problem })?;
    if options.bootstrap.trim().is_empty() {
        return Err(option("bootstrap", "names no broker"));
    }
    if options.client.is_empty() {
        return Err(option("client", "is empty; every process needs a name of its own"));
    }
    if options.lanes == 0 {
        return Err(option("lanes", "must be at least 1"));
    }
    let most = (1 << 30) - OVERHEAD;
    if options.max_record == 0 || options.max_record > most {
        return Err(ConnectError::Option {
            option: "max_record",
            problem: format!("must be between 1 and {most} bytes"),
        });
    }
    Ok(())
}

/// Why librdkafka can't use a property, in its words, which may repeat the value; `None` when it can. Asks no broker.
pub fn judge_property(name: &str, value: &str) -> Option<String> {
    if name.starts_with(OWN) {
        return None;
    }
    let config: ClientConfig = [(name.to_owned(), value.to_owned())].into_iter().collect();
    match config.create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(_, why, ..)) => Some(why),
        Err(other) => Some(other.to_string()),
    }
}

/// What every client is told.
fn common(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.bootstrap)
        .set("client.id", &options.client)
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("topic.metadata.refresh.interval.ms", "10000")
        // A cluster that had halted may name no brokers at first. The client then forgets those it knew, and begins with
        // the configured ones again after this time, not after five minutes.
        .set("metadata.recovery.rebootstrap.trigger.ms", millis(COORDINATOR))
        .set("log.connection.close", "false");
    let sasl =
        ["sasl.mechanism", "sasl.mechanisms"].iter().any(|name| options.properties.contains_key(*name));
    let protocol = match (&options.tls, sasl) {
        (Some(_), true) => "sasl_ssl",
        (Some(_), false) => "ssl",
        (None, true) => "sasl_plaintext",
        (None, false) => "plaintext",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = &options.tls {
        // The system's authorities, wherever the system keeps them.
        config.set("ssl.ca.location", "probe");
        let files = [
            ("ssl.ca.location", &tls.ca),
            ("ssl.certificate.location", &tls.certificate),
            ("ssl.key.location", &tls.key),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                config.set(name, file.to_string_lossy());
            }
        }
    }
    config
}

/// Adds the user's properties, those that only another kind of client knows left out.
fn with_own(mut config: ClientConfig, options: &Options, not_for: &[&str]) -> ClientConfig {
    for (name, value) in &options.properties {
        if !name.starts_with(OWN) && !not_for.iter().any(|other| name.starts_with(other)) {
            config.set(name, value);
        }
    }
    config
}

fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

/// A client that only asks and changes topics.
pub(crate) fn admin(options: &Options) -> ClientConfig {
    let unknown: Vec<&str> = CONSUMER_ONLY.iter().chain(PRODUCER_ONLY).copied().collect();
    with_own(common(options), options, &unknown)
}

/// The producer.
pub(crate) fn producer(options: &Options) -> ClientConfig {
    let mut config = common(options);
    config
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("linger.ms", "1")
        .set("message.timeout.ms", millis(options.publish_timeout))
        .set("message.max.bytes", (options.max_record + OVERHEAD).max(1_000_000).to_string());
    let mut config = with_own(config, options, CONSUMER_ONLY);
    config
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("sticky.partitioning.linger.ms", "0");
    config
}

/// A producer of transactions.
pub(crate) fn transactional(options: &Options, id: &str) -> ClientConfig {
    let mut config = producer(options);
    config.set("transactional.id", id).set("transaction.timeout.ms", millis(transaction_timeout(options)));
    if !options.properties.contains_key("retry.backoff.ms") {
        // A transaction that begins while the marks of the one before are written is asked to wait; mostly a few
        // milliseconds, where the default are a hundred and more.
        config.set("retry.backoff.ms", "5");
    }
    // The transaction's own time-out bounds its records; a longer one of theirs is refused.
    config.set("message.timeout.ms", millis(options.publish_timeout.min(transaction_timeout(options))));
    config
}

/// After this time the cluster ends a transaction by itself. Until then one that a process left, and that this process or
/// its like do not end at their start, keeps consumers waiting; so it is missed about as soon as the process is.
pub(crate) fn transaction_timeout(options: &Options) -> Duration {
    options.session_timeout.max(Duration::from_secs(10))
}

/// A consumer of a group.
pub(crate) fn consumer(options: &Options, group: &str) -> ClientConfig {
    let mut config = common(options);
    let heartbeat = (options.session_timeout / 10).clamp(Duration::from_millis(200), Duration::from_secs(3));
    config
        .set("session.timeout.ms", millis(options.session_timeout))
        .set("heartbeat.interval.ms", millis(heartbeat))
        .set("max.poll.interval.ms", millis(options.session_timeout.max(Duration::from_secs(300))))
        // A question to a broker that has halted is given up, and the coordinator is looked for anew, after this time and
        // not after a minute and ten: else a group may stand still for that long after the broker goes on.
        .set("socket.timeout.ms", millis(COORDINATOR))
        .set("coordinator.query.interval.ms", millis(COORDINATOR))
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "5")
        // A partition that is assigned or resumed is fetched once the request before it is answered.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "100")
        .set("fetch.message.max.bytes", "1048576")
        .set("receive.message.max.bytes", (options.max_record + (64 << 20)).to_string());
    let mut config = with_own(config, options, PRODUCER_ONLY);
    config
        .set("group.id", group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("allow.auto.create.topics", "false");
    config
}

/// A consumer that joins no group: it looks, or follows a topic.
pub(crate) fn looker(options: &Options, group: &str) -> ClientConfig {
    let mut config = consumer(options, group);
    config
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "50")
        .set("queued.max.messages.kbytes", "4096");
    config
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::options::Tls;

    fn options(properties: &[(&str, &str)]) -> Options {
        let mut options = Options::new("kafka:9092", "shop.", "router-1");
        options.properties = properties.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        options
    }

    #[track_caller]
    fn has(config: &ClientConfig, expected: &[(&str, &str)]) {
        for (name, value) in expected {
            assert_eq!(config.get(name), Some(*value), "{name}");
        }
    }

    #[test]
    fn correctness_can_not_be_set() {
        for name in REFUSED_PROPERTIES {
            let refused = check(&options(&[(name, "x")])).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
        }
        check(&options(&[("linger.ms", "20"), ("compression.type", "lz4")])).unwrap();
    }

    #[test]
    fn a_property_is_judged_without_a_broker() {
        assert_eq!(judge_property("linger.ms", "20"), None);
        assert_eq!(judge_property("trunkline.oauth.token", "t"), None);
        let unknown = judge_property("lingr.ms", "20").unwrap();
        assert!(unknown.contains("lingr.ms"), "{unknown}");
        assert!(judge_property("compression.type", "very").is_some());
    }

    #[test]
    fn options_that_can_not_be_are_named() {
        let named = |options: Options| check(&options).unwrap_err().to_string();
        assert!(named(Options { prefix: "a b".into(), ..options(&[]) }).contains("prefix"));
        assert!(named(Options { bootstrap: String::new(), ..options(&[]) }).contains("bootstrap"));
        assert!(named(Options { client: String::new(), ..options(&[]) }).contains("client"));
        assert!(named(Options { max_record: 0, ..options(&[]) }).contains("max_record"));
        assert!(named(Options { lanes: 0, ..options(&[]) }).contains("lanes"));
    }

    #[test]
    fn own_properties_win_where_they_may() {
        let options =
            options(&[("linger.ms", "20"), ("fetch.wait.max.ms", "7"), ("trunkline.oauth.token", "t")]);
        has(&producer(&options), &[("linger.ms", "20"), ("acks", "all"), ("partitioner", "murmur2_random")]);
        has(&consumer(&options, "g"), &[("fetch.wait.max.ms", "7"), ("isolation.level", "read_committed")]);
        for config in [producer(&options), consumer(&options, "g"), admin(&options)] {
            assert_eq!(config.get("trunkline.oauth.token"), None);
        }
        assert_eq!(producer(&options).get("fetch.wait.max.ms"), None);
        assert_eq!(admin(&options).get("linger.ms"), None);
    }

    #[test]
    fn tls_and_sasl_choose_the_protocol() {
        let tls = Some(Tls {
            ca: Some("ca.pem".into()),
            certificate: Some("me.pem".into()),
            key: Some("me.key".into()),
        });
        let scram =
            [("sasl.mechanism", "SCRAM-SHA-256"), ("sasl.username", "bus"), ("sasl.password", "hidden")];
        has(&admin(&options(&[])), &[("security.protocol", "plaintext")]);
        has(
            &admin(&options(&scram)),
            &[("security.protocol", "sasl_plaintext"), ("sasl.password", "hidden")],
        );
        let files = [
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "ca.pem"),
            ("ssl.certificate.location", "me.pem"),
            ("ssl.key.location", "me.key"),
        ];
        has(&consumer(&Options { tls: tls.clone(), ..options(&[]) }, "g"), &files);
        has(&producer(&Options { tls, ..options(&scram) }), &[("security.protocol", "sasl_ssl")]);
        assert!(!format!("{:?}", options(&scram)).contains("hidden"));
    }
}
