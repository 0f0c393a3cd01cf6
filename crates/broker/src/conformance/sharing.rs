//! Consumers that share a group, and groups that share a channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::channel::Keep;
use crate::error::HandOverError;

use super::consumer::{Consumer, part};
use super::fixture::{FIRST, Fixture, SECOND};
use super::numbered::{id, numbers, record, records, round, sorted_ids, sorted_outgoing};
use super::oracle::History;
use super::stage::{Stage, channel, ensure, group, spec};

/// Two consumers of one group share the partitions; every record comes to one of them.
pub async fn two_consumers_share_a_group<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 4).await;
    let (mut a, mut b) = (stage.consumer().await, stage.other_consumer().await);
    share_leases(f, &mut a, &mut b, 4).await;
    assert!(a.leases.is_disjoint(&b.leases), "both hold a lease of one partition");

    let batch: Vec<_> = (0..2).flat_map(|number| round(&stage.channel, 40, number)).collect();
    stage.publish(batch.clone()).await;
    let (from_a, from_b) = tokio::join!(a.until_quiet(), b.until_quiet());
    assert!(!from_a.is_empty() && !from_b.is_empty());
    for (consumer, records) in [(&a, &from_a), (&b, &from_b)] {
        let leased = |partition: u16| consumer.leases.contains(&(stage.channel.clone(), partition));
        assert!(records.iter().all(|record| leased(record.position.partition)), "a record without a lease");
    }
    let mut all = sorted_ids(&from_a);
    all.extend(sorted_ids(&from_b));
    all.sort();
    assert_eq!(all, sorted_outgoing(&batch));
    a.settle(from_a).await;
    b.settle(from_b).await;
    stage.expect_lag(0).await;
}

/// A consumer joins under load and leaves again: nothing is lost, and keys keep their order.
pub async fn rebalance_mid_stream<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 6).await;
    let history = Arc::new(History::default());
    let left = Arc::new(AtomicBool::new(false));
    let publish = async {
        let mut number = 0;
        while !left.load(Ordering::Relaxed) || number < 60 {
            let batch = round(&stage.channel, 20, number);
            history.sending(&batch);
            stage.publish(batch.clone()).await;
            history.answered(batch, &Ok(()));
            number += 1;
            sleep(Duration::from_millis(5)).await;
        }
    };
    let mut stays = stage.consumer().await;
    let stay = async {
        while !(left.load(Ordering::Relaxed) && history.complete()) {
            work(&mut stays, &history, f.quiet()).await;
        }
    };
    let visit = async {
        wait_for_distinct(f, &history, 200).await;
        let mut visitor = stage.other_consumer().await;
        let deadline = Instant::now() + f.patience();
        let mut done = 0;
        while done < 100 {
            assert!(Instant::now() < deadline, "the consumer that joined got {done} records");
            done += work(&mut visitor, &history, f.quiet()).await;
        }
        visitor.leave();
        left.store(true, Ordering::Relaxed);
    };
    let ((), (), ()) = tokio::join!(publish, visit, async {
        timeout(f.patience() * 4, stay).await.expect("everything comes in the end");
    });
    while !history.complete() {
        let more = stays.take(1).await;
        history.received(&more);
        stays.settle(more).await;
    }
    history.assert_at_least_once();
    stage.settle_rest(&mut stays).await;
}

/// A consumer that is asked to give a lease up and settles what it holds passes nothing on twice.
pub async fn drained_lease_passes_without_redelivery<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let batch = round(&stage.channel, 40, 0);
    stage.publish(batch).await;
    let mut a = stage.consumer().await;
    let mut held = a.take(40).await;
    let mut b = stage.other_consumer().await;
    a.wait_until("one lease is revoked", |a| !a.revoked.is_empty()).await;
    let revoked: Vec<_> = a.revoked.iter().map(|(_, partition)| *partition).collect();
    let passing: Vec<_> = held.extract_if(.., |r| revoked.contains(&r.position.partition)).collect();
    assert!(!passing.is_empty(), "forty keys are in both partitions");
    a.settle(passing).await;
    share_leases(f, &mut a, &mut b, 2).await;
    a.settle(held).await;
    b.expect_nothing().await;
    a.expect_nothing().await;

    stage.publish(round(&stage.channel, 40, 1)).await;
    let (from_a, from_b) = tokio::join!(a.until_quiet(), b.until_quiet());
    assert!(!from_a.is_empty() && !from_b.is_empty());
    assert!(from_a.iter().chain(&from_b).all(|record| id(record).1 == 1), "a settled record came again");
    assert_eq!(from_a.len() + from_b.len(), 40);
}

/// The leases of a process that died pass to another one, with every record that was not settled.
pub async fn lease_passes_to_another_instance<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 4).await;
    let batch = round(&stage.channel, 100, 0);
    stage.publish(batch.clone()).await;
    let mut a = stage.consumer().await;
    let settled = a.take_and_settle(10).await;
    let held = a.take(20).await;
    let mut b = match f.instance(SECOND).await {
        Some(second) => {
            let b = Consumer::join(f, &second, std::slice::from_ref(&stage.channel), &stage.group).await;
            f.crash(FIRST).await;
            b
        }
        None => {
            f.crash(FIRST).await;
            stage.reopen().await;
            stage.consumer().await
        }
    };
    drop((a, held));

    let rest = b.take_and_settle(90).await;
    let mut all = sorted_ids(&rest);
    all.extend(sorted_ids(&settled));
    all.sort();
    assert_eq!(all, sorted_outgoing(&batch));
    stage.reopen().await;
    stage.expect_lag(0).await;
}

/// Receipts of a lease that has ended settle nothing: the records are another consumer's now.
pub async fn stale_lease_settlement_ignored<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let out = stage.another("out").await;
    stage.publish(records(&stage.channel, "k", 0..3)).await;
    let mut a = stage.consumer().await;
    let (stale, _) = part(a.take(3).await);
    let settler = a.leave();

    let mut b = stage.other_consumer().await;
    let held = b.take(3).await;
    assert_eq!(numbers(&held), [0, 1, 2]);
    let settled = settler.hand_over(stale, vec![record(&out, "k", 0)]).await;
    // An engine may say that it can't, but not that the inputs were refused.
    assert!(!matches!(settled, Err(HandOverError::Refused { .. })), "{settled:?}");
    drop(settled);
    assert_eq!(stage.lag_of(&stage.channel).await, 3);
    b.expect_nothing().await;
    b.leave();
    drop(held);

    let mut c = stage.consumer().await;
    assert_eq!(numbers(&c.take_and_settle(3).await), [0, 1, 2]);
    stage.expect_lag(0).await;
}

/// Each group gets each record, whatever the other groups have settled.
pub async fn several_groups_get_each_record<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let groups = [stage.group.clone(), group("archive"), group("audit")];
    ensure(&stage.broker, &[spec(&stage.channel, 2, &groups.each_ref())]).await;
    let batch = round(&stage.channel, 30, 0);
    stage.publish(batch.clone()).await;
    for group in &groups {
        let mut consumer =
            Consumer::join(f, &stage.broker, std::slice::from_ref(&stage.channel), group).await;
        let received = consumer.take_and_settle(30).await;
        assert_eq!(sorted_ids(&received), sorted_outgoing(&batch));
        consumer.expect_nothing().await;
    }
}

/// A group added to a channel begins at the oldest record kept.
pub async fn group_added_later_begins_at_oldest<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    let late = group("late");
    let mut kept = spec(&channel("kept"), 1, &[&stage.group]);
    kept.keep = Keep::For { age: Duration::from_secs(3600), bytes: None };
    ensure(&stage.broker, std::slice::from_ref(&kept)).await;
    let channels = [kept.name.clone()];
    stage.publish(records(&kept.name, "k", 0..10)).await;
    stage.consumer_of(&channels).await.take_and_settle(10).await;

    kept.groups.push(late.clone());
    ensure(&stage.broker, std::slice::from_ref(&kept)).await;
    stage.publish(records(&kept.name, "k", 10..15)).await;
    let mut consumer = Consumer::join(f, &stage.broker, &channels, &late).await;
    let first = if f.keeps_settled() { 0 } else { 10 };
    let received = consumer.take(15 - first).await;
    assert_eq!(numbers(&received), (first as u64..15).collect::<Vec<_>>());
    assert_eq!(numbers(&stage.consumer_of(&channels).await.take(5).await), [10, 11, 12, 13, 14]);
}

/// Waits until two consumers hold all leases between them, each at least one.
async fn share_leases<F: Fixture>(f: &F, a: &mut Consumer, b: &mut Consumer, partitions: usize) {
    let deadline = Instant::now() + f.patience();
    let shared = |a: &Consumer, b: &Consumer| {
        !a.leases.is_empty() && !b.leases.is_empty() && a.leases.len() + b.leases.len() == partitions
    };
    while !shared(a, b) {
        let (held_by_a, held_by_b) = (a.leases.len(), b.leases.len());
        assert!(Instant::now() < deadline, "{held_by_a} and {held_by_b} leases of {partitions}");
        tokio::join!(poll_news(a), poll_news(b));
    }
}

async fn poll_news(consumer: &mut Consumer) {
    if let Ok(news) = timeout(Duration::from_millis(20), consumer.step()).await {
        assert!(news.expect("an intake goes on").is_empty(), "a record came before any was expected");
    }
}

/// Takes and settles what comes at once; waits no longer than `quiet`. Returns how many records came.
async fn work(consumer: &mut Consumer, history: &History, quiet: Duration) -> usize {
    let Ok(records) = timeout(quiet, consumer.step()).await else { return 0 };
    let records = records.expect("an intake goes on while others join and leave");
    history.received(&records);
    let count = records.len();
    consumer.settle(records).await;
    count
}

async fn wait_for_distinct<F: Fixture>(f: &F, history: &History, count: usize) {
    let deadline = Instant::now() + f.patience();
    while history.distinct() < count {
        assert!(Instant::now() < deadline, "only {} records came", history.distinct());
        sleep(Duration::from_millis(5)).await;
    }
}
