//! What exists is compared, never replaced.

use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use trunkline_broker::conformance::Fixture;
use trunkline_broker::conformance::stage::{channel, group, spec};
use trunkline_broker::{Ensure, TopologyError};

use crate::fixture::Rabbit;

/// A queue that somebody declared otherwise stops the start with a message that says what differs, and keeps what it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_is_refused_and_left_alone() {
    let f = Rabbit::start("").await;
    let connection = Connection::connect(f.server.url(), ConnectionProperties::default()).await.unwrap();
    let amqp = connection.create_channel().await.unwrap();
    let queue = format!("{}in:workers:1", f.prefix);
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    amqp.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.unwrap();
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    amqp.basic_publish("".into(), queue.as_str().into(), options, b"old", properties).await.unwrap();

    let begun = Instant::now();
    let asked = [spec(&channel("in"), 2, &[&group("workers")])];
    let refused = f.broker().await.ensure(&asked, Ensure::Create).await;
    let Err(TopologyError::Mismatch { channel: refused, found, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(refused, channel("in"));
    assert!(found.contains(&queue) && found.contains("inequivalent arg"), "{found}");
    assert!(begun.elapsed() < Duration::from_secs(5));

    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let left = amqp.queue_declare(queue.as_str().into(), passive, FieldTable::default()).await.unwrap();
    assert_eq!(left.message_count(), 1);
    connection.close(200, "done".into()).await.unwrap();
    f.stop().await;
}

/// A channel that nobody wrote down is still not taken for a smaller one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_partitions_than_asked_for_are_noticed_without_the_ledger() {
    let f = Rabbit::start("").await;
    let (name, workers) = (channel("in"), group("workers"));
    let broker = f.broker().await;
    broker.ensure(&[spec(&name, 3, &[&workers])], Ensure::Create).await.unwrap();
    let connection = Connection::connect(f.server.url(), ConnectionProperties::default()).await.unwrap();
    let amqp = connection.create_channel().await.unwrap();
    let ledger = format!("{}:channels", f.prefix);
    amqp.queue_delete(ledger.into(), Default::default()).await.unwrap();
    let asked = [spec(&name, 2, &[&workers])];
    for mode in [Ensure::Create, Ensure::Verify] {
        let refused = f.other_broker().await.ensure(&asked, mode).await;
        assert!(matches!(refused, Err(TopologyError::Mismatch { .. })), "{refused:?}");
    }
    f.other_broker().await.ensure(&[spec(&name, 3, &[&workers])], Ensure::Verify).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
    f.stop().await;
}
