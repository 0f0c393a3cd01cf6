//! What publishing promises: stored means stored, and what is not stored is named.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::broker::Ensure;
use crate::channel::ChannelName;
use crate::error::{PublishError, PublishFailure};
use crate::record::Outgoing;

use super::fixture::{FIRST, Fixture};
use super::numbered::{numbers, record, records, round, sorted_ids, sorted_outgoing};
use super::stage::{MAX_RECORD, Stage, channel, ensure, spec};
use super::{Skip, skip};

/// Key, headers in their order and value come back as they went; a first delivery says that it is one.
pub async fn round_trip_with_headers<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let header = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
    let sent = Outgoing {
        headers: vec![
            header("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            header("content-type", b"application/cloudevents+protobuf"),
            header("a-name", "größe".as_bytes()),
            header("empty", b""),
        ],
        ..record(&stage.channel, "order-1", 7)
    };
    let before = SystemTime::now();
    stage.publish(vec![sent.clone()]).await;

    let received = stage.consumer().await.take(1).await.remove(0);
    assert_eq!((&received.channel, &received.key), (&sent.channel, &sent.key));
    assert_eq!((&received.headers, &received.value), (&sent.headers, &sent.value));
    assert_eq!(received.redelivered, 0);
    assert!(received.position.partition < 2);
    let slack = Duration::from_secs(5);
    assert!(received.stored + slack >= before && received.stored <= SystemTime::now() + slack);
}

/// Any bytes at all survive: as value, as key, as header; empty ones too.
pub async fn undecodable_bytes_survive<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let all: Bytes = (0..=255u8).chain((0..=255u8).rev()).collect();
    let zeros = Bytes::from_static(&[0, 0, 0]);
    let mut batch = Vec::new();
    for value in [all.clone(), zeros.clone(), Bytes::new(), Bytes::from_static(&[0xff, 0xfe, 0x00])] {
        for key in [all.clone(), zeros.clone(), Bytes::new()] {
            let mut sent = Outgoing::new(stage.channel.clone(), key, value.clone());
            sent.headers = vec![("raw".to_owned(), value.clone()), ("zeros".to_owned(), zeros.clone())];
            batch.push(sent);
        }
    }
    stage.publish(batch.clone()).await;

    let received = stage.consumer().await.take(batch.len()).await;
    for (sent, received) in batch.iter().zip(&received) {
        let sent = (&sent.key, &sent.headers, &sent.value);
        assert_eq!(sent, (&received.key, &received.headers, &received.value));
    }
}

/// What was confirmed is there after the process crashed.
pub async fn confirmed_means_stored<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 3).await;
    let mut confirmed = Vec::new();
    for crash in 0..3 {
        let batch = round(&stage.channel, 20, crash);
        stage.publish(batch.clone()).await;
        confirmed.extend(batch);
        f.crash(FIRST).await;
        stage.reopen().await;
    }
    let received = stage.consumer().await.take(confirmed.len()).await;
    assert_eq!(sorted_ids(&received), sorted_outgoing(&confirmed));
}

/// A record for a channel that does not exist is named by its index; the rest of the batch is stored.
pub async fn unroutable_publish_fails<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let nowhere = channel("nowhere");
    let batch = vec![
        record(&stage.channel, "k", 0),
        record(&nowhere, "k", 1),
        record(&stage.channel, "k", 2),
        record(&nowhere, "k", 3),
    ];
    let error = stage.broker.publish(batch).await.expect_err("two records have nowhere to go");
    assert_eq!(unroutable(&error), [(1, &nowhere), (3, &nowhere)]);

    let mut consumer = stage.consumer().await;
    assert_eq!(numbers(&consumer.take_and_settle(2).await), [0, 2]);
    consumer.expect_nothing().await;
}

/// A publish is not confirmed when one of the channel's groups would not get the record.
pub async fn missing_group_queue_makes_publish_fail<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let whole = stage.another("whole").await;
    if !f.break_group(&stage.channel, &stage.group).await {
        return skip("missing_group_queue_makes_publish_fail", Skip::GroupsCannotVanish);
    }
    let batch = vec![record(&whole, "k", 0), record(&stage.channel, "k", 1), record(&whole, "k", 2)];
    let error = stage.broker.publish(batch).await.expect_err("a group would not get its record");
    assert_eq!(unroutable(&error), [(1, &stage.channel)]);

    // Ensuring again repairs it.
    ensure(&stage.broker, &[spec(&stage.channel, 1, &[&stage.group])]).await;
    stage.publish(records(&stage.channel, "k", 3..4)).await;
    let mut consumer = stage.consumer_of(&[stage.channel.clone(), whole.clone()]).await;
    let mut received = consumer.take(3).await;
    received.sort_by_key(|received| received.channel != whole);
    assert_eq!(numbers(&received), [0, 2, 3]);
}

/// A record longer than its channel takes is refused with both sizes; one of exactly the limit, and the others, are stored.
pub async fn oversized_record_is_named_and_the_rest_stored<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let sized = |size: usize| {
        let key = Bytes::from_static(b"key");
        let headers = vec![("header".to_owned(), Bytes::from_static(b"value"))];
        let value = Bytes::from(vec![b'v'; size - 3 - 11]);
        Outgoing { headers, ..Outgoing::new(stage.channel.clone(), key, value) }
    };
    let batch = vec![sized(100), sized(MAX_RECORD + 1), sized(MAX_RECORD)];
    let error = stage.broker.publish(batch).await.expect_err("one record is too large");
    let [failure] = error.failures.as_slice() else { panic!("one record is too large: {error:?}") };
    let PublishFailure::TooLarge { size, limit } = failure.failure else { panic!("{failure:?}") };
    assert_eq!((failure.index, size, limit), (1, MAX_RECORD + 1, MAX_RECORD));

    let received = stage.consumer().await.take(2).await;
    assert_eq!(received.iter().map(|r| r.value.len()).collect::<Vec<_>>(), [100 - 14, MAX_RECORD - 14]);
}

/// Ten thousand records in one batch: all there, in order.
pub async fn large_batch<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..10_000)).await;
    let mut consumer = stage.consumer().await;
    let received = consumer.take_and_settle(10_000).await;
    assert!(numbers(&received).into_iter().eq(0..10_000));
    stage.expect_lag(0).await;
}

/// Nothing to do is done.
pub async fn empty_batch<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(Vec::new()).await;
    stage.broker.ensure(&[], Ensure::Create).await.expect("nothing to create");
    let mut consumer = stage.consumer().await;
    consumer.hand_over(Vec::new(), Vec::new()).await;
    consumer.expect_nothing().await;
}

fn unroutable(error: &PublishError) -> Vec<(usize, &ChannelName)> {
    error
        .failures
        .iter()
        .map(|failure| match &failure.failure {
            PublishFailure::Unroutable(channel) => (failure.index, channel),
            other => panic!("expected an unroutable record, got {other:?}"),
        })
        .collect()
}
