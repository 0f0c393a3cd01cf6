//! Records that wait for their time.

use std::time::{Duration, Instant};

use crate::record::Outgoing;

use super::consumer::Consumer;
use super::fixture::{FIRST, Fixture};
use super::numbered::{id, record, records};
use super::stage::Stage;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(1);

/// Delayed records come neither early nor late, in order among those of their delay, and do not keep others waiting.
pub async fn delayed_records_come_neither_early_nor_before_others_of_their_delay<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 2).await;
    let mut consumer = stage.consumer().await;
    let mut published = Vec::new();
    for number in 0..5 {
        let begun = Instant::now();
        let mut batch = Vec::new();
        for (kind, delay) in [("long", Some(LONG)), ("short", Some(SHORT)), ("zero", Some(Duration::ZERO))] {
            batch.push(Outgoing { delay, ..record(&stage.channel, kind, number * 2) });
            batch.push(Outgoing { delay, ..record(&stage.channel, kind, number * 2 + 1) });
        }
        batch.extend(records(&stage.channel, "now", number * 2..number * 2 + 2));
        stage.publish(batch).await;
        published.push((begun, Instant::now()));
    }
    let arrivals = arrivals(&mut consumer, 40).await;
    for (kind, delay) in [("long", LONG), ("short", SHORT), ("zero", Duration::ZERO), ("now", Duration::ZERO)]
    {
        let of_kind: Vec<_> = arrivals.iter().filter(|(key, ..)| key == kind).collect();
        let numbers: Vec<u64> = of_kind.iter().map(|(_, number, _)| *number).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>(), "order among records delayed by {delay:?}");
        for (_, number, at) in of_kind {
            let (begun, ended) = published[*number as usize / 2];
            assert_in_time(*at, begun, ended, delay);
        }
    }
    let first_delayed = arrivals.iter().position(|(kind, ..)| kind == "long");
    let last_at_once = arrivals.iter().rposition(|(kind, ..)| kind == "now");
    assert!(last_at_once < first_delayed, "a record without delay waited behind a delayed one");
    // Asked only now, because asking takes time, too.
    let later = records(&stage.channel, "later", 0..4).into_iter();
    stage.publish(later.map(|r| Outgoing { delay: Some(LONG), ..r }).collect()).await;
    assert_eq!(stage.lag_of(&stage.channel).await, 4, "what waits for its time is behind, too");
    consumer.take_and_settle(4).await;
    consumer.expect_nothing().await;
    stage.expect_lag(0).await;
}

/// A delay goes on over a restart and a crash; time that passed meanwhile counts.
pub async fn delayed_survive_restart<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 1).await;
    let begun = Instant::now();
    let batch = records(&stage.channel, "k", 0..10);
    stage.publish(batch.into_iter().map(|r| Outgoing { delay: Some(LONG), ..r }).collect()).await;
    let ended = Instant::now();
    f.restart().await;
    stage.reopen().await;
    f.crash(FIRST).await;
    stage.reopen().await;
    let mut consumer = stage.consumer().await;
    // A broker that takes longer than the delay to come back can only be judged from then on.
    let ready = Instant::now().max(ended + LONG) - LONG;
    let arrivals = arrivals(&mut consumer, 10).await;
    for (_, _, at) in &arrivals {
        assert_in_time(*at, begun, ready, LONG);
    }
    assert!(arrivals.iter().map(|(_, number, _)| *number).eq(0..10));
    stage.expect_lag(0).await;
}

/// Takes and settles; each record with the time it came. What comes together is settled together: how long settling
/// takes is not the delay's.
async fn arrivals(consumer: &mut Consumer, count: usize) -> Vec<(String, u64, Instant)> {
    let deadline = tokio::time::Instant::now() + consumer.patience();
    let mut arrivals = Vec::new();
    while arrivals.len() < count {
        let Ok(taken) = tokio::time::timeout_at(deadline, consumer.step()).await else {
            panic!("only {} of {count} records came", arrivals.len())
        };
        let (taken, at) = (taken.expect("an intake that nothing disturbed goes on"), Instant::now());
        arrivals.extend(taken.iter().map(id).map(|(key, number)| (key, number, at)));
        consumer.settle(taken).await;
    }
    assert_eq!(arrivals.len(), count, "more came than was published");
    arrivals
}

#[track_caller]
fn assert_in_time(at: Instant, begun: Instant, ended: Instant, delay: Duration) {
    assert!(at >= begun + delay, "{:?} early", begun + delay - at);
    let latest = ended + delay + (delay / 8).max(Duration::from_secs(1));
    assert!(at <= latest, "{:?} late", at - latest);
}
