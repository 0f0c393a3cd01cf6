//! Back-pressure: a consumer that has enough is paused, and flows again as soon as there is room.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use trunkline_broker::Broker;
use trunkline_kafka::{KafkaBroker, Options};

use crate::stage::{Consumer, Stage, ensure, records, spec};

/// Enough for a consumer to be paused.
const FULL: usize = 200;
/// More than it has when it is paused, so that it must fetch.
const TAKEN: usize = 3000;
const TIMES: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_consumer_flows_again_at_once() {
    let Some(stage) = Stage::set("a_paused_consumer_flows_again_at_once") else { return };
    let options = Options { max_unsettled_records: FULL, ..stage.options("one") };
    let broker = KafkaBroker::connect(options).await.unwrap();
    ensure(&broker, &spec("jobs", 1, &["reader"])).await;
    for part in 0..=TIMES {
        let (from, to) = (part * TAKEN, (part + 1) * TAKEN);
        broker.publish(records("jobs", from as u32..to as u32)).await.unwrap();
    }
    let mut consumer = Consumer::join(&broker, "jobs", "reader").await;
    let mut took = Vec::new();
    for _ in 0..TIMES {
        sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        let mut count = 0;
        while count < TAKEN {
            let taken = consumer.take(1).await;
            count += taken.len();
            consumer.settle(taken).await;
        }
        took.push(begun.elapsed());
    }
    took.sort();
    println!("{TAKEN} records after a pause: {took:?}");
    // A librdkafka that is not woken looks again once a second.
    assert!(took[TIMES / 2] < Duration::from_millis(400), "{took:?}");
}
