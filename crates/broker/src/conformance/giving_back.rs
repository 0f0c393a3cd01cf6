//! What is not settled comes again, and nothing slips away in between.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::consumer::part;
use super::fixture::{FIRST, Fixture};
use super::numbered::{numbers, records, round};
use super::oracle::History;
use super::stage::Stage;

/// A receipt dropped unsettled gives its record back, and it comes before later records of its partition, in whatever
/// order receipts are dropped.
pub async fn dropped_receipt_returns<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..4)).await;
    let mut consumer = stage.consumer().await;
    let mut taken = consumer.take(4).await;
    consumer.settle(vec![taken.remove(0)]).await;
    for index in [1, 1, 0] {
        drop(taken.remove(index));
    }
    stage.publish(records(&stage.channel, "k", 4..6)).await;

    let again = consumer.take(5).await;
    assert_eq!(numbers(&again), [1, 2, 3, 4, 5]);
    consumer.settle(again).await;
    consumer.expect_nothing().await;
    stage.expect_lag(0).await;
}

/// One record given back again and again is neither lost nor buried, and does not stop its neighbours.
pub async fn a_record_given_back_often_is_kept<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..3)).await;
    let mut consumer = stage.consumer().await;
    let mut neighbours = consumer.take(3).await;
    drop(neighbours.remove(0));
    for _ in 0..30 {
        assert_eq!(numbers(&consumer.take(1).await), [0]);
    }
    consumer.settle(neighbours).await;
    assert_eq!(numbers(&consumer.take_and_settle(1).await), [0]);
    stage.expect_lag(0).await;
}

/// A consumer that leaves gives back all it took and did not settle, in order.
pub async fn leaving_gives_everything_back<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..20)).await;
    let mut first = stage.consumer().await;
    first.take_and_settle(5).await;
    let held = first.take(10).await;
    first.leave();
    drop(held);

    let mut second = stage.consumer().await;
    assert_eq!(numbers(&second.take_and_settle(15).await), (5..20).collect::<Vec<_>>());
    stage.expect_lag(0).await;
}

/// A crash between publishing a record's consequence and settling the record doubles the consequence, never loses it.
pub async fn crash_between_publish_and_settle_duplicates_never_loses<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 1).await;
    let out = stage.another("out").await;
    let inputs = records(&stage.channel, "k", 0..20);
    stage.publish(inputs).await;

    let mut consumer = stage.consumer().await;
    let taken = consumer.take(20).await;
    let (mut receipts, _) = part(taken);
    let unsettled = receipts.split_off(10);
    consumer.hand_over(receipts, records(&out, "k", 0..10)).await;
    consumer.hand_over(Vec::new(), records(&out, "k", 10..15)).await;
    f.crash(FIRST).await;
    drop(unsettled);
    drop(consumer);

    stage.reopen().await;
    let mut consumer = stage.consumer().await;
    while stage.lag_of(&stage.channel).await > 0 {
        let input = consumer.take(1).await;
        let number = numbers(&input)[0];
        consumer.hand_over(part(input).0, records(&out, "k", number..number + 1)).await;
    }
    let history = History::default();
    let outputs = records(&out, "k", 0..20);
    history.sending(&outputs);
    history.answered(outputs, &Ok(()));
    history.received(&stage.consumer_of(&[out]).await.until_quiet().await);
    history.assert_at_least_once();
    assert!(history.verdict().duplicates >= 5, "the consequences of five unsettled records come twice");
}

/// Records settled before an earlier one do not carry it away: after a restart it is there.
pub async fn out_of_order_settling_does_not_pass_an_unsettled_record<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 1..5)).await;
    let mut consumer = stage.consumer().await;
    let mut taken = consumer.take(4).await;
    let fourth = taken.remove(3);
    for _ in 0..2 {
        let latest = taken.pop().expect("the third, then the second");
        consumer.settle(vec![latest]).await;
    }
    let lag = stage.lag_of(&stage.channel).await;
    assert!((2..=4).contains(&lag), "the first and the fourth at least are not settled: {lag}");
    f.restart().await;
    drop((taken, fourth, consumer));

    stage.reopen().await;
    let mut consumer = stage.consumer().await;
    let mut again = consumer.take(1).await;
    again.extend(consumer.until_quiet().await);
    let came = numbers(&again);
    assert!(came.contains(&1) && came.contains(&4), "neither may be lost: {came:?}");
    assert!(came.is_sorted(), "in order: {came:?}");
    consumer.settle(again).await;
    stage.expect_lag(0).await;
}

/// A gap that closes lets everything behind it count as settled.
pub async fn settling_the_gap_settles_what_is_behind_it<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 1).await;
    stage.publish(records(&stage.channel, "k", 0..50)).await;
    let mut consumer = stage.consumer().await;
    let mut taken = consumer.take(50).await;
    let first = taken.remove(0);
    taken.reverse();
    for record in taken {
        consumer.settle(vec![record]).await;
    }
    assert!(stage.lag_of(&stage.channel).await >= 1);
    consumer.settle(vec![first]).await;
    stage.expect_lag(0).await;
    f.restart().await;
    drop(consumer);
    stage.reopen().await;
    stage.consumer().await.expect_nothing().await;
}

/// A `next` that is dropped half-way loses nothing, doubles nothing and keeps the order.
pub async fn cancelled_next_loses_nothing<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let history = History::default();
    let mut consumer = stage.consumer().await;
    let deadline = Instant::now() + f.patience() * 3;
    let mut turn = 0;
    while turn < 40 || !history.complete() {
        assert!(Instant::now() < deadline, "records stay away: {:?}", history.verdict());
        if turn < 40 {
            let batch = round(&stage.channel, 5, turn);
            history.sending(&batch);
            let answer = stage.broker.publish(batch.clone()).await;
            assert!(history.answered(batch, &answer).is_empty(), "{answer:?}");
        }
        turn += 1;
        // Microseconds to a few milliseconds hit every place at which an engine may be waiting.
        let patience = Duration::from_micros(1 + turn * 37 % 1500 + turn * turn / 10);
        if let Ok(records) = timeout(patience, consumer.step()).await {
            let records = records.expect("an intake that nothing disturbed goes on");
            history.received(&records);
            consumer.settle(records).await;
        }
    }
    consumer.expect_nothing().await;
    history.assert_exactly_once();
}
