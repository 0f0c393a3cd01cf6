//! Records that the broker does not store are named, and no others.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use trunkline_broker::conformance::Fixture;
use trunkline_broker::conformance::consumer::part;
use trunkline_broker::conformance::numbered::{id, numbers, record, records, round};
use trunkline_broker::conformance::stage::{Stage, ensure, spec};
use trunkline_broker::{HandOverError, PublishError, PublishFailure};

use super::counted;
use crate::fixture::Rabbit;

fn failed(error: &PublishError, expected: impl Fn(&PublishFailure) -> bool) -> BTreeSet<usize> {
    assert!(error.failures.iter().all(|failed| expected(&failed.failure)), "{error:?}");
    error.failures.iter().map(|failed| failed.index).collect()
}

/// One record in a hundred has nowhere to go, all are under way together: exactly these are named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_record_is_the_one_that_was_returned() {
    let f = Rabbit::start("").await;
    let stage = Stage::set(&f, 1).await;
    let broken = stage.another("broken").await;
    assert!(f.break_group(&broken, &stage.group).await);
    let turns = counted(5, 50);
    for turn in 0..turns {
        let nowhere = |index: u64| index % 100 == (turn * 17 + index / 100) % 100;
        let batch = (0..2_000_u64).map(|index| {
            record(if nowhere(index) { &broken } else { &stage.channel }, "k", turn * 2_000 + index)
        });
        let error = stage.broker.publish(batch.collect()).await.unwrap_err();
        let expected: BTreeSet<usize> =
            (0..2_000).filter(|index| nowhere(*index)).map(|index| usize::try_from(index).unwrap()).collect();
        assert_eq!(failed(&error, |failure| matches!(failure, PublishFailure::Unroutable(_))), expected);
    }
    assert_eq!(stage.lag_of(&stage.channel).await, turns * 1_980);
    println!("R4: {} records under way, wrong ids=0", turns * 2_000);
    f.stop().await;
}

/// A queue vanishes and comes back while records are published: what was confirmed since it vanished is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_confirmed_into_a_missing_queue() {
    let f = Rabbit::start("").await;
    let stage = Stage::set(&f, 1).await;
    assert!(f.break_group(&stage.channel, &stage.group).await);
    let (mut confirmed, mut refused) = (BTreeSet::new(), 0);
    let repaired = AtomicBool::new(false);
    let publish = async {
        let (mut number, mut after) = (0, 0);
        while after < 10 || number * 20 < counted(400, 10_000) {
            after += u64::from(repaired.load(Ordering::Relaxed));
            let batch = round(&stage.channel, 20, number);
            number += 1;
            let answer = stage.broker.publish(batch.clone()).await;
            let failures = answer.err().map(|error| error.failures).unwrap_or_default();
            let failures: BTreeSet<usize> = failures.iter().map(|failed| failed.index).collect();
            refused += failures.len();
            let stored = batch.iter().enumerate().filter(|(index, _)| !failures.contains(index));
            confirmed.extend(stored.map(|(_, record)| record.value.clone()));
        }
    };
    let repair = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ensure(&stage.broker, &[spec(&stage.channel, 1, &[&stage.group])]).await;
        repaired.store(true, Ordering::Relaxed);
    };
    tokio::join!(publish, repair);
    assert!(refused > 0 && confirmed.len() >= 180, "{refused} refused, {} confirmed", confirmed.len());
    let received = stage.consumer().await.take_and_settle(confirmed.len()).await;
    let received: BTreeSet<_> = received.into_iter().map(|record| record.value).collect();
    assert_eq!(received, confirmed);
    println!("R3: {refused} refused, {} confirmed, silent loss=0", confirmed.len());
    f.stop().await;
}

/// RabbitMQ itself would refuse on the same AMQP channel for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_taken_away_refuses_no_longer() {
    let f = Rabbit::start("a_limit_that_is_taken_away_refuses_no_longer").await;
    let stage = Stage::set(&f, 1).await;
    let pattern = format!("^{}in:", f.prefix.replace('.', "\\."));
    let policy = format!("{}less", f.prefix);
    f.server.ctl(&["set_policy", "--apply-to", "queues", &policy, &pattern, "{\"max-length\":2}"]).await;
    let mut number = 0;
    while stage.broker.publish(records(&stage.channel, "k", number..number + 1)).await.is_ok() {
        number += 1;
    }
    f.server.ctl(&["clear_policy", &policy]).await;
    let deadline = Instant::now() + f.patience();
    while let Err(error) = stage.broker.publish(records(&stage.channel, "k", number..number + 1)).await {
        assert!(Instant::now() < deadline, "{error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let received = stage.consumer().await.until_quiet().await;
    assert_eq!(numbers(&received), (0..=number).collect::<Vec<_>>());
    f.stop().await;
}

/// A hand-over of which one channel can't take its part: what the others took is named, so that it need not be made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_unfinished_hand_over_stored_is_named() {
    let f = Rabbit::start("what_an_unfinished_hand_over_stored_is_named").await;
    let stage = Stage::set(&f, 1).await;
    let (open, broken) = (stage.another("open").await, stage.another("broken").await);
    assert!(f.break_group(&broken, &stage.group).await);
    stage.publish(records(&stage.channel, "k", 0..1)).await;
    let mut consumer = stage.consumer().await;
    let (receipts, _) = part(consumer.take(1).await);
    let outputs = (0..100).map(|n| record(if n % 3 == 0 { &broken } else { &open }, "k", n)).collect();
    let unfinished = consumer.settler.hand_over(receipts, outputs).await;
    let Err(HandOverError::Unavailable { inputs, stored, .. }) = unfinished else { panic!("{unfinished:?}") };
    assert_eq!(stored, (0..100).filter(|index| index % 3 != 0).collect::<Vec<usize>>());
    stage.expect_lag(1).await;
    stage.expect_lag_of(&open, stored.len() as u64).await;
    ensure(&stage.broker, &[spec(&broken, 1, &[&stage.group])]).await;
    let rest = (0..100).filter(|n| n % 3 == 0).map(|n| record(&broken, "k", n)).collect();
    consumer.hand_over(inputs, rest).await;
    stage.expect_lag(0).await;
    f.stop().await;
}

/// A queue that an operator gave a length refuses what is too much: it is named as such, and can be published again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_by_name() {
    let f = Rabbit::start("").await;
    let stage = Stage::set(&f, 1).await;
    let pattern = format!("^{}in:", f.prefix.replace('.', "\\."));
    let policy = format!("{}full", f.prefix);
    f.server.ctl(&["set_policy", "--apply-to", "queues", &policy, &pattern, "{\"max-length\":50}"]).await;
    // The limit is checked against what the queue knows, so a batch may go beyond it; the next one may not.
    let mut refused = Vec::new();
    for number in 0..20 {
        let batch = round(&stage.channel, 30, number);
        if let Err(error) = stage.broker.publish(batch.clone()).await {
            let indices = failed(&error, |failure| matches!(failure, PublishFailure::Full(_)));
            refused.extend(indices.into_iter().map(|index| batch[index].clone()));
        }
    }
    assert!(!refused.is_empty() && refused.len() < 600, "{} of 600 were refused", refused.len());

    let mut consumer = stage.consumer().await;
    let mut received = consumer.take_and_settle(600 - refused.len()).await;
    while !refused.is_empty() {
        let batch: Vec<_> = refused.drain(..refused.len().min(30)).collect();
        stage.publish(batch.clone()).await;
        received.extend(consumer.take_and_settle(batch.len()).await);
    }
    let received: BTreeSet<_> = received.iter().map(id).collect();
    assert_eq!(received.len(), 600);
    f.server.ctl(&["clear_policy", &policy]).await;
    f.stop().await;
}
