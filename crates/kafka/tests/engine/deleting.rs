//! Records go when the last declared group has settled them, and not before.

use tokio::time::{Instant, sleep};
use trunkline_broker::{Broker, Start};

use crate::stage::{Consumer, PATIENCE, Stage, channel, ensure, records, spec, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slowest_group_decides_what_is_deleted() {
    let Some(stage) = Stage::set("the_slowest_group_decides_what_is_deleted") else { return };
    let broker = stage.broker("one").await;
    ensure(&broker, &spec("jobs", 1, &["fast", "slow", "absent"])).await;
    broker.publish(records("jobs", 0..10)).await.unwrap();
    let mut fast = Consumer::join(&broker, "jobs", "fast").await;
    let taken = fast.take(10).await;
    fast.settle(taken).await;
    let mut slow = Consumer::join(&broker, "jobs", "slow").await;
    let mut taken = slow.take(10).await;
    let rest = taken.split_off(4);
    slow.settle(taken).await;
    // Several passes go by, but one group has never settled anything.
    sleep(stage.options("").retention_interval * 5).await;
    assert_eq!(first(&broker).await, "0");

    let mut absent = Consumer::join(&broker, "jobs", "absent").await;
    let mut taken = absent.take(10).await;
    let others = taken.split_off(7);
    absent.settle(taken).await;
    let deadline = Instant::now() + PATIENCE;
    while first(&broker).await != "4" {
        assert!(Instant::now() < deadline, "what all groups have settled stays");
        sleep(stage.options("").retention_interval).await;
    }
    drop((rest, others));
}

/// The first record that is there.
async fn first(broker: &trunkline_kafka::KafkaBroker) -> String {
    let mut observer = broker.observe(&channel("jobs"), Start::Oldest).await.unwrap();
    texts(&observer.next().await.unwrap()).remove(0)
}
