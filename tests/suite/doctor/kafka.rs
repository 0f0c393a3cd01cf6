//! Topics that somebody made or changed so that records would be lost or refused.

use trunkline_tests::ground::Engine;
use trunkline_tests::kafka::Operator;
use trunkline_tests::{Ground, Instance, Setup};
use xtask::brokers;

use super::Told;

/// A configuration on Kafka, with the broker's settings from line 3 on.
fn configuration(broker: &str, prefix: &str, channels: &str) -> String {
    format!("version: 1\nbroker: {broker}\nchannels: {{ prefix: {prefix}, {channels} }}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_lose_or_refuse_records() {
    let case = "topics_that_lose_or_refuse_records";
    let Some(ground) = Ground::new(Engine::Kafka, case).await else { return };
    let address = brokers::shared().unwrap().kafka().unwrap().addresses.plain;
    let prefix = &ground.prefix;
    let sections =
        format!("channels: {{ prefix: \"{prefix}\" }}\ndestinations: {{ crm: {{ external: true }} }}\n");
    let setup = Setup { broker: ground.broker.clone(), store: ground.store.clone(), ..Setup::new(sections) };
    let instance = Instance::start(setup).await;
    assert!(instance.terminate(crate::SOON).await.success());
    Told::of(instance.folder(), &[], &[], 0).await.counts(0);

    let operator = Operator::of(&address, "looker");
    let topic = |channel: &str| format!("{prefix}{channel}");
    operator.alter(&topic("events"), "retention.ms", "60000").await;
    operator.alter(&topic("journey"), "cleanup.policy", "compact").await;
    operator.alter(&topic("deliver.crm"), "max.message.bytes", "1000").await;
    operator.alter(&topic("dead.crm"), "retention.bytes", "1000000").await;
    operator.alter(&topic("_channels"), "cleanup.policy", "delete").await;
    operator.widen(&topic("dead.router"), 3).await;
    let text = std::fs::read_to_string(instance.folder().join("trunkline.yaml")).unwrap();
    let line = 1 + text.lines().position(|line| line.starts_with("channels:")).unwrap();
    let told = Told::of(instance.folder(), &[], &[], 1).await;
    let prefix_at = format!("{line} channels.prefix");
    told.has("TL-D002", &prefix_at, "events` has `retention.ms=60000`", "set `retention.ms=-1`");
    told.has("TL-D002", &prefix_at, "journey` is compacted", "set `cleanup.policy=delete`");
    told.has("TL-D002", &prefix_at, "dead.crm` has `retention.bytes=1000000`", "set `retention.bytes=-1`");
    told.has("TL-D002", &prefix_at, "_channels` has `cleanup.policy=delete`", "set `cleanup.policy=compact`");
    let channels_at = format!("{line} channels");
    told.has("TL-B001", &channels_at, "deliver.crm` takes batches of 1000 bytes", "set `max.message.bytes=");
    told.has(
        "TL-B001",
        &channels_at,
        "dead.router` has 3 partitions, but 1",
        "Changing the number of partitions",
    );
    // Whoever sets one setting of a topic by this call of Kafka's gives up the others, so there is more to tell of these. Of
    // what nobody touched there is nothing.
    let about = |channel: &str| {
        let named = format!("`{}`", topic(channel));
        told.findings().iter().filter(|one| one["message"].as_str().unwrap().contains(&named)).count()
    };
    assert_eq!((about("dead.gateway"), about("dead.router")), (0, 1), "{told:?}");
    // It only told.
    assert_eq!(operator.partitions(&topic("dead.router")), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_topics_copies_that_can_not_be_and_an_instance_too_many() {
    let case = "missing_topics_copies_that_can_not_be_and_an_instance_too_many";
    let Some(ground) = Ground::new(Engine::Kafka, case).await else { return };
    let address = brokers::shared().unwrap().kafka().unwrap().addresses.plain;
    let prefix = &ground.prefix;
    let broker = format!("{{ url: \"kafka://{address}\", ensure: verify, replication: 3 }}");
    let told = Told::of_text(&configuration(&broker, prefix, "partitions: 2"), 1).await;
    told.has(
        "TL-B002",
        "2 broker.ensure",
        "`events` does not exist",
        "let Trunkline make it with `ensure: create`",
    );
    told.has(
        "TL-D002",
        "2 broker.replication",
        "3 copies of each record are wanted",
        "lower `broker.replication`",
    );
    told.counts(5);

    // Two instances on one Kafka, each with a SQLite file of its own.
    let sections = format!("channels: {{ prefix: \"{prefix}\" }}\n");
    let named = |name: &str| {
        let setup = Setup { broker: ground.broker.clone(), ..Setup::new(&sections) };
        setup.environment("TRUNKLINE_INSTANCE", name)
    };
    let first = Instance::start(named("one")).await;
    Told::of(first.folder(), &[], &[], 0).await.counts(0);
    let _second = Instance::start(named("two")).await;
    // The second is ready when it has joined; its name may come to the group's list a moment later.
    trunkline_tests::eventually("both to be in the groups", crate::SOON, async || {
        let operator = Operator::of(&address, &format!("{prefix}router"));
        let topic = format!("{prefix}events");
        let shares = tokio::task::spawn_blocking(move || operator.shares(&topic)).await.unwrap();
        (shares.len() == 2).then_some(())
    })
    .await;
    let told = Told::of(first.folder(), &[], &[], 1).await;
    told.has("TL-D009", "3 store", "`one-up`, `two-up` share the work", "postgres://");
    told.counts(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_hides_nothing_of_the_rest() {
    let port = trunkline_tests::ports::free();
    let text = format!(
        "version: 1\nbroker: kafka://127.0.0.1:{port},kafka.invalid:9092\nstore: \
         postgres://nobody@127.0.0.1:{port}/none\ndestinations:\n  crm:\n    adapter: http\n    settings:\n      url: \
         http://crm.invalid/x\n"
    );
    let told = Told::of_text(&text, 1).await;
    told.has("TL-D001", "2 broker", "takes no connection", "check that it runs");
    told.has("TL-D001", "2 broker", "kafka.invalid:9092 can't be found", "check the host's name");
    told.has("TL-D001", "3 store", "the store can't be had now", "check that the server runs");
    told.has("TL-D001", "8 destinations.crm.settings.url", "crm.invalid", "check the host's name");
    told.counts(4);
    assert!(told.said("unseen", "broker").contains("it can't be reached"), "{told:?}");
}
