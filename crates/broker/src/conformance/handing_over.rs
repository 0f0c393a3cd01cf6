//! Settling together with the consequence.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::error::{HandOverError, PublishFailure, RecordFailure};
use crate::record::Outgoing;

use super::consumer::{Consumer, part};
use super::fixture::{FIRST, Fixture};
use super::numbered::{id, numbers, record, records, round};
use super::oracle::History;
use super::stage::{MAX_RECORD, Stage, channel};
use super::{Skip, skip};

/// A hand-over ends while `next` waits, and what it publishes wakes that `next`.
pub async fn hand_over_during_next<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..1)).await;
    let mut consumer = stage.consumer().await;
    let mut taken = consumer.take(1).await;
    for number in 1..30 {
        let settler = Arc::clone(&consumer.settler);
        let outputs = records(&stage.channel, "k", number..number + 1);
        let (next, handed) = tokio::join!(consumer.take(1), async {
            tokio::task::yield_now().await;
            settler.hand_over(part(taken).0, outputs).await
        });
        handed.expect("a hand-over during next");
        assert_eq!(numbers(&next), [number]);
        taken = next;
    }
    consumer.settle(taken).await;
    stage.expect_lag(0).await;
}

/// Where the engine says so, a crash leaves either both the settled inputs and their outputs, or neither.
pub async fn hand_over_is_atomic<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 2).await;
    if !stage.broker.capabilities().atomic_hand_over {
        return skip("hand_over_is_atomic", Skip::NoAtomicHandOver);
    }
    let out = stage.another("out").await;
    let history = History::default();
    for number in 0..40 {
        let batch = round(&stage.channel, 10, number);
        history.sending(&batch);
        stage.publish(batch.clone()).await;
        history.answered(batch, &Ok(()));
    }
    for crash in 0..4 {
        let consumer = stage.consumer().await;
        let copy = tokio::spawn(copy_until_error(consumer, out.clone()));
        sleep(Duration::from_millis(10 + 7 * crash)).await;
        f.crash(FIRST).await;
        copy.abort();
        stage.reopen().await;
    }
    let consumer = stage.consumer().await;
    let copy = tokio::spawn(copy_until_error(consumer, out.clone()));
    stage.expect_lag(0).await;
    copy.abort();
    let mut outputs = stage.consumer_of(&[out]).await;
    history.received(&outputs.take_and_settle(400).await);
    outputs.expect_nothing().await;
    history.assert_exactly_once();
}

/// Takes batches and hands each over to `out` until the engine under it is gone.
async fn copy_until_error(mut consumer: Consumer, out: crate::channel::ChannelName) {
    while let Ok(mut records) = consumer.step().await {
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(7));
            let outputs = records.iter().map(|r| Outgoing::new(out.clone(), r.key.clone(), r.value.clone()));
            let outputs = outputs.collect();
            if consumer.settler.hand_over(part(records).0, outputs).await.is_err() {
                return;
            }
            records = rest;
        }
    }
}

/// An output that can never be stored is named; nothing was published, and the inputs are still there to be handed
/// over without it.
pub async fn oversized_output_is_named_and_the_rest_unharmed<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let out = stage.another("out").await;
    stage.publish(records(&stage.channel, "k", 0..3)).await;
    let mut consumer = stage.consumer().await;
    let (receipts, _) = part(consumer.take(3).await);
    let mut large = record(&out, "k", 1);
    large.value = vec![0; MAX_RECORD].into();
    let outputs =
        vec![record(&out, "k", 0), large, record(&out, "k", 2), record(&channel("nowhere"), "k", 3)];

    let error = consumer.settler.hand_over(receipts, outputs).await.expect_err("two outputs can't be stored");
    let HandOverError::Refused { failures, inputs } = error else { panic!("refused for ever: {error:?}") };
    let [RecordFailure { index: 1, failure: large }, RecordFailure { index: 3, failure: nowhere }] =
        &failures[..]
    else {
        panic!("outputs 1 and 3 can't be stored: {failures:?}")
    };
    assert!(matches!(large, PublishFailure::TooLarge { limit: MAX_RECORD, .. }), "{large:?}");
    assert!(matches!(nowhere, PublishFailure::Unroutable(_)), "{nowhere:?}");
    assert_eq!(inputs.len(), 3);
    let mut behind = stage.consumer_of(std::slice::from_ref(&out)).await;
    behind.expect_nothing().await;
    assert_eq!(stage.lag_of(&stage.channel).await, 3);

    consumer.hand_over(inputs, records(&out, "k", 0..1)).await;
    assert_eq!(numbers(&behind.take(1).await), [0]);
    stage.expect_lag(0).await;
}

/// A retry: the record goes back to its own channel with a delay, and is settled by that.
pub async fn retry_is_a_hand_over_to_the_same_channel<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..2)).await;
    let mut consumer = stage.consumer().await;
    let (mut receipts, _) = part(consumer.take(2).await);
    let mut retry = record(&stage.channel, "k", 100);
    retry.delay = Some(Duration::from_millis(300));
    consumer.hand_over(vec![receipts.remove(0)], vec![retry]).await;
    consumer.settle_receipts(receipts).await;
    stage.expect_lag(1).await;
    assert_eq!(numbers(&consumer.take_and_settle(1).await), [100]);
    stage.expect_lag(0).await;
    consumer.expect_nothing().await;
}

/// Many hand-overs at once settle everything, each output once.
pub async fn concurrent_hand_overs_settle_all<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 4).await;
    let out = stage.another("out").await;
    for number in 0..4 {
        stage.publish(round(&stage.channel, 25, number)).await;
    }
    let mut consumer = stage.consumer().await;
    let mut tasks = tokio::task::JoinSet::new();
    for record in consumer.take(100).await {
        let settler = Arc::clone(&consumer.settler);
        let output = Outgoing::new(out.clone(), record.key.clone(), record.value.clone());
        tasks.spawn(async move { settler.hand_over(vec![record.receipt], vec![output]).await });
    }
    while let Some(handed) = tasks.join_next().await {
        handed.expect("no panic").expect("a hand-over beside others");
    }
    stage.expect_lag(0).await;
    let mut outputs: Vec<_> = stage.consumer_of(&[out]).await.take(100).await.iter().map(id).collect();
    outputs.sort();
    outputs.dedup();
    assert_eq!(outputs.len(), 100);
    let more = timeout(f.quiet(), consumer.step()).await;
    assert!(!matches!(more, Ok(Ok(records)) if !records.is_empty()), "what was settled came again");
}
