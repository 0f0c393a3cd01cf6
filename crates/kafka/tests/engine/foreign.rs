//! What others do to the same topics: other clients, other tools, an operator's hand.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use rdkafka::admin::{AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use tokio::time::{Instant, sleep};
use trunkline_broker::{
    Broker, Ensure, HandOverError, Outgoing, PublishFailure, RecordFailure, Start, TopologyError,
};

use crate::stage::{Consumer, PATIENCE, Stage, admin_options, channel, ensure, records, spec, texts};

/// Hashes that the Java client's own tests state.
const JAVA: [(&str, i32); 6] = [
    ("21", -973_932_308),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_the_partition_that_java_gives_it() {
    let Some(stage) = Stage::set("a_key_has_the_partition_that_java_gives_it") else { return };
    let broker = stage.broker("one").await;
    ensure(&broker, &spec("keys", 7, &["reader"])).await;
    let batch =
        JAVA.iter().map(|(key, _)| Outgoing::new(channel("keys"), (*key).into(), "".into())).collect();
    broker.publish(batch).await.unwrap();
    let received = Consumer::join(&broker, "keys", "reader").await.take(JAVA.len()).await;
    let partitions: BTreeMap<_, _> =
        received.iter().map(|r| (r.key.to_vec(), r.position.partition)).collect();
    for (key, hash) in JAVA {
        assert_eq!(i32::from(partitions[key.as_bytes()]), (hash & i32::MAX) % 7, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_loses_records_by_itself_is_refused() {
    let Some(stage) = Stage::set("a_topic_that_loses_records_by_itself_is_refused") else { return };
    let broker = stage.broker("one").await;
    let topic = |name: &str| format!("{}{name}", stage.prefix);
    let (short, small, fit) = (topic("short"), topic("small"), topic("fit"));
    let new = |name| NewTopic::new(name, 1, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let topics = [
        new(&short).set("retention.ms", "604800000"),
        new(&small).set("max.message.bytes", "1000"),
        new(&fit),
    ];
    stage.admin().create_topics(&topics, &admin_options()).await.unwrap();
    for (name, setting) in [("short", "retention.ms"), ("small", "max.message.bytes")] {
        let refused = broker.ensure(&[spec(name, 1, &["reader"])], Ensure::Create).await;
        let Err(TopologyError::Mismatch { wanted, found, .. }) = refused else {
            panic!("{name}: {refused:?}")
        };
        assert!(wanted.contains(setting) && found.contains(setting), "{wanted}, {found}");
    }
    // One that fits is adopted.
    ensure(&broker, &spec("fit", 1, &["reader"])).await;
    broker.publish(records("fit", 0..1)).await.unwrap();
    assert_eq!(texts(&Consumer::join(&broker, "fit", "reader").await.take(1).await), ["0"]);
}

/// K14: what comes after somebody made a topic anew or gave it partitions is not lost, and nothing is stuck.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_changed_from_outside_goes_on() {
    let Some(stage) = Stage::set("a_topic_that_is_changed_from_outside_goes_on") else { return };
    let broker = stage.broker("one").await;
    ensure(&broker, &spec("jobs", 1, &["reader"])).await;
    broker.publish(records("jobs", 0..50)).await.unwrap();
    let mut consumer = Consumer::join(&broker, "jobs", "reader").await;
    let taken = consumer.take(50).await;
    consumer.settle(taken).await;

    let (admin, topic) = (stage.admin(), format!("{}jobs", stage.prefix));
    admin.delete_topics(&[&topic], &admin_options()).await.unwrap();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    until_ok(|| async { admin.create_topics([&new], &admin_options()).await.unwrap().remove(0).is_ok() })
        .await;
    until_ok(|| async { broker.publish(records("jobs", 50..51)).await.is_ok() }).await;
    let again = consumer.take(1).await;
    assert_eq!(texts(&again).last().unwrap(), "50");
    consumer.settle(again).await;

    admin.create_partitions(&[NewPartitions::new(&topic, 4)], &admin_options()).await.unwrap();
    let refused = broker.ensure(&[spec("jobs", 1, &["reader"])], Ensure::Create).await;
    assert!(matches!(refused, Err(TopologyError::Mismatch { .. })), "{refused:?}");
    let keys = |round: u32| {
        (0..40).map(move |key: u32| {
            Outgoing::new(channel("jobs"), format!("key-{key}").into(), format!("{round}").into())
        })
    };
    let deadline = Instant::now() + PATIENCE;
    let mut partitions = std::collections::BTreeSet::new();
    for round in 0.. {
        broker.publish(keys(round).collect()).await.unwrap();
        let taken = consumer.take(40).await;
        partitions.extend(taken.iter().map(|record| record.position.partition));
        consumer.settle(taken).await;
        if partitions.len() == 4 {
            break;
        }
        assert!(Instant::now() < deadline, "new partitions are not used: {partitions:?}");
        sleep(Duration::from_millis(500)).await;
    }
    drop(broker.observe(&channel("jobs"), Start::Oldest).await.unwrap());
}

/// K10: an operator lowers what a topic takes while records flow to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_takes_less_than_before_refuses_only_what_is_too_large() {
    let Some(stage) = Stage::set("a_topic_that_takes_less_than_before_refuses_only_what_is_too_large") else {
        return;
    };
    let broker = stage.broker("one").await;
    ensure(&broker, &spec("in", 1, &["reader"])).await;
    ensure(&broker, &spec("out", 1, &["reader"])).await;
    broker.publish(records("in", 0..1)).await.unwrap();
    let mut consumer = Consumer::join(&broker, "in", "reader").await;
    let mut inputs: Vec<_> = consumer.take(1).await.into_iter().map(|record| record.receipt).collect();
    let out = format!("{}out", stage.prefix);
    let lowered = HashMap::from([("max.message.bytes", "3000")]);
    let lowered = AlterConfig { specifier: ResourceSpecifier::Topic(&out), entries: lowered };
    stage.admin().alter_configs([&lowered], &admin_options()).await.unwrap().remove(0).unwrap();

    // Together they are more than the topic takes, and one alone is.
    let sized = |size: usize| Outgoing::new(channel("out"), "key".into(), vec![b'x'; size].into());
    let outputs = || vec![sized(1500), sized(1600), sized(3500), sized(1700)];
    let failures = loop {
        match consumer.settler.hand_over(inputs, outputs()).await {
            Err(HandOverError::Unavailable { inputs: back, .. }) => inputs = back,
            Err(HandOverError::Refused { failures, inputs: back }) => {
                inputs = back;
                break failures;
            }
            other => panic!("{other:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    };
    let [RecordFailure { index: 2, failure: PublishFailure::TooLarge { .. } }] = &failures[..] else {
        panic!("only the third is too large: {failures:?}")
    };
    let small = outputs().into_iter().filter(|output| output.value.len() < 3000).collect();
    consumer.settler.hand_over(inputs, small).await.unwrap();
    let arrived = Consumer::join(&broker, "out", "reader").await.take(3).await;
    assert_eq!(arrived.iter().map(|record| record.value.len()).collect::<Vec<_>>(), [1500, 1600, 1700]);
    let refused = broker.publish(vec![sized(1800), sized(3500)]).await.unwrap_err();
    assert!(matches!(&refused.failures[..], [RecordFailure { index: 1, .. }]), "{refused:?}");
}

async fn until_ok<F: Future<Output = bool>>(what: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !what().await {
        assert!(Instant::now() < deadline, "it does not recover");
        sleep(Duration::from_millis(200)).await;
    }
}
