//! A channel that was declared can be used and asked about at once, however young it is.

use trunkline_broker::{Broker, Lag};

use crate::stage::{Stage, channel, ensure, group, records, spec};

/// Whoever saw that a topic is gone must not go on believing it when it is there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_was_made_anew_is_known_at_once() {
    let Some(stage) = Stage::set("a_channel_that_was_made_anew_is_known_at_once") else { return };
    let (broker, other) = (stage.broker("one").await, stage.broker("two").await);
    for round in 0..20 {
        ensure(&broker, &spec("jobs", 2, &["reader"])).await;
        for broker in [&broker, &other] {
            assert_eq!(lag(broker).await, 0, "round {round}");
        }
        broker.publish(records("jobs", 0..3)).await.unwrap();
        for broker in [&other, &broker] {
            assert_eq!(lag(broker).await, 3, "round {round}");
        }
        broker.remove(&channel("jobs"), true).await.unwrap();
    }
}

async fn lag(broker: &trunkline_kafka::KafkaBroker) -> u64 {
    Lag::total(&broker.lag(&channel("jobs"), &group("reader")).await.unwrap()).0
}
