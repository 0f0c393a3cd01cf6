//! How long records stay, who may look at them, and how far a group is behind.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::broker::{Observer, Start};
use crate::channel::Keep;
use crate::record::{Outgoing, Received};

use super::fixture::Fixture;
use super::numbered::{numbers, records, round, sorted_ids, sorted_outgoing};
use super::stage::{Stage, channel, ensure, spec};

/// The lag counts what is stored and not settled, delayed records too, per partition, over restarts.
pub async fn lag_is_right<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 3).await;
    let lag = stage.broker.lag(&stage.channel, &stage.group).await.expect("lag");
    assert_eq!(lag.iter().map(|lag| lag.partition).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(lag.iter().all(|lag| lag.records == 0 && lag.oldest.is_none()), "{lag:?}");

    stage.publish(round(&stage.channel, 30, 0)).await;
    let delayed = records(&stage.channel, "later", 0..5).into_iter();
    stage.publish(delayed.map(|r| Outgoing { delay: Some(Duration::from_secs(600)), ..r }).collect()).await;
    stage.expect_lag(35).await;
    sleep(Duration::from_millis(50)).await;
    let lag = stage.broker.lag(&stage.channel, &stage.group).await.expect("lag");
    for lag in lag.iter().filter(|lag| lag.records > 0) {
        let oldest = lag.oldest.expect("what is behind has an age");
        assert!(oldest >= Duration::from_millis(40) && oldest < Duration::from_secs(60), "{oldest:?}");
    }

    let mut consumer = stage.consumer().await;
    let mut taken = consumer.take(30).await;
    stage.expect_lag(35).await;
    let rest = taken.split_off(12);
    consumer.settle(taken).await;
    stage.expect_lag(23).await;
    f.restart().await;
    drop((rest, consumer));
    stage.reopen().await;
    stage.expect_lag(23).await;
    let mut consumer = stage.consumer().await;
    consumer.take_and_settle(18).await;
    stage.expect_lag(5).await;
    consumer.expect_nothing().await;
}

/// Observers see what is published and take nothing from anyone.
pub async fn observe_takes_nothing_away<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let old = round(&stage.channel, 10, 0);
    stage.publish(old.clone()).await;
    let mut newest = stage.broker.observe(&stage.channel, Start::Newest).await.expect("observing");
    let new = round(&stage.channel, 10, 1);
    stage.publish(new.clone()).await;
    let seen = see(f, newest.as_mut(), 10).await;
    assert_eq!(sorted_ids(&seen), sorted_outgoing(&new));
    let both: Vec<_> = old.into_iter().chain(new).collect();
    if f.keeps_settled() {
        let mut oldest = stage.broker.observe(&stage.channel, Start::Oldest).await.expect("observing");
        assert_eq!(sorted_ids(&see(f, oldest.as_mut(), 20).await), sorted_outgoing(&both));
    }
    drop(seen);
    stage.expect_lag(20).await;

    let mut consumer = stage.consumer().await;
    let received = consumer.take(20).await;
    assert_eq!(sorted_ids(&received), sorted_outgoing(&both));
    consumer.settle(received).await;
    consumer.expect_nothing().await;
    assert!(timeout(f.quiet(), newest.next()).await.is_err(), "an observed record was given back");
}

/// However old and however much: what a declared group has not settled is not dropped.
pub async fn keep_for_never_drops_unsettled<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 1).await;
    let mut short = spec(&channel("short"), 2, &[&stage.group]);
    short.keep = Keep::For { age: Duration::from_millis(100), bytes: Some(64) };
    ensure(&stage.broker, std::slice::from_ref(&short)).await;
    let batch: Vec<_> = (0..3).flat_map(|number| round(&short.name, 20, number)).collect();
    stage.publish(batch.clone()).await;
    sleep(Duration::from_millis(400)).await;
    f.restart().await;
    stage.reopen().await;
    ensure(&stage.broker, std::slice::from_ref(&short)).await;
    sleep(Duration::from_millis(200)).await;
    let received = stage.consumer_of(std::slice::from_ref(&short.name)).await.take(60).await;
    assert_eq!(sorted_ids(&received), sorted_outgoing(&batch));
}

/// A channel kept until settled shows nothing that all its groups have settled.
pub async fn until_settled_keeps_nothing_settled<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..20)).await;
    let mut consumer = stage.consumer().await;
    consumer.take_and_settle(15).await;
    let unsettled = consumer.take(5).await;

    let deadline = Instant::now() + f.patience();
    loop {
        let mut observer = stage.broker.observe(&stage.channel, Start::Oldest).await.expect("observing");
        let seen = match timeout(f.quiet(), observer.next()).await {
            Ok(seen) => numbers(&seen.expect("observing goes on")),
            Err(_) if f.keeps_settled() => panic!("an unsettled record is not there"),
            Err(_) => return,
        };
        if seen[0] == 15 {
            break;
        }
        assert!(Instant::now() < deadline, "settled records stay: {seen:?}");
        sleep(f.quiet() / 10).await;
    }
    drop(unsettled);
}

async fn see<F: Fixture>(f: &F, observer: &mut dyn Observer, count: usize) -> Vec<Received> {
    let deadline = Instant::now() + f.patience();
    let mut seen = Vec::new();
    while seen.len() < count {
        match timeout_at(deadline, observer.next()).await {
            Ok(records) => seen.extend(records.expect("observing goes on")),
            Err(_) => panic!("only {} of {count} records were seen", seen.len()),
        }
    }
    assert_eq!(seen.len(), count, "more was seen than there is");
    seen
}
