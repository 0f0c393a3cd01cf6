//! Restarts and hasty goodbyes in the middle of it all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::consumer::{Consumer, part};
use super::fixture::Fixture;
use super::numbered::{numbers, records, round, sorted_ids, sorted_outgoing};
use super::oracle::History;
use super::stage::Stage;

const ROUNDS: u64 = 80;

/// The broker restarts under load, twice: publishers and consumers go on, nothing confirmed is lost.
pub async fn engine_restart_mid_stream<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 4).await;
    let history = History::default();
    let published = AtomicBool::new(false);
    let publish = async {
        for number in 0..ROUNDS {
            publish_until_confirmed(&stage, &history, number).await;
            sleep(Duration::from_millis(3)).await;
        }
        published.store(true, Ordering::Relaxed);
    };
    let consume = async {
        while !(published.load(Ordering::Relaxed) && history.complete()) {
            let channels = std::slice::from_ref(&stage.channel);
            let broker = f.broker().await;
            match Consumer::try_join(f, &broker, channels, &stage.group).await {
                Ok(consumer) => consume_until_error(f, consumer, &history, &published).await,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    };
    let restart = async {
        for seen in [200, 800] {
            while history.distinct() < seen {
                sleep(Duration::from_millis(2)).await;
            }
            f.restart().await;
        }
    };
    let all = async { tokio::join!(publish, consume, restart) };
    timeout(f.patience() * 4, all).await.expect("everything goes on after a restart");
    history.assert_at_least_once();
    stage.reopen().await;
    stage.settle_rest(&mut stage.consumer().await).await;
}

async fn publish_until_confirmed<F: Fixture>(stage: &Stage<'_, F>, history: &History, number: u64) {
    let mut batch = round(&stage.channel, 20, number);
    history.sending(&batch);
    loop {
        let answer = stage.f.broker().await.publish(batch.clone()).await;
        batch = history.answered(batch, &answer);
        if batch.is_empty() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn consume_until_error<F: Fixture>(
    f: &F,
    mut consumer: Consumer,
    history: &History,
    published: &AtomicBool,
) {
    while !(published.load(Ordering::Relaxed) && history.complete()) {
        let Ok(news) = timeout(f.quiet(), consumer.step()).await else { continue };
        let Ok(records) = news else { return };
        history.received(&records);
        if consumer.settler.hand_over(part(records).0, Vec::new()).await.is_err() {
            return;
        }
    }
}

/// Consumers that come and go all at once, some with records in their hands, leave the group whole.
pub async fn concurrent_close<F: Fixture>(f: &F) {
    let stage = Stage::set(f, 4).await;
    let batch = round(&stage.channel, 60, 0);
    stage.publish(batch.clone()).await;
    let mut visits = tokio::task::JoinSet::new();
    for visitor in 0..10 {
        let mut consumer = stage.consumer().await;
        visits.spawn(async move {
            let deadline = Instant::now() + Duration::from_millis(visitor * 7);
            let mut taken = Vec::new();
            while taken.is_empty()
                && let Ok(records) = timeout_at(deadline, consumer.step()).await
            {
                taken = records.expect("an intake goes on while others leave");
            }
            // Half of them drop the intake before what it gave, half after.
            if visitor % 2 == 0 {
                consumer.leave();
                drop(taken);
            } else {
                drop(taken);
                consumer.leave();
            }
        });
    }
    while let Some(visit) = visits.join_next().await {
        visit.expect("leaving does not panic");
    }
    let mut consumer = stage.consumer().await;
    let received = consumer.take(60).await;
    assert_eq!(sorted_ids(&received), sorted_outgoing(&batch));
    consumer.settle(received).await;
    consumer.expect_nothing().await;
    stage.expect_lag(0).await;
}

/// A broker that was used, restarted and used again many times keeps its place.
pub async fn place_is_kept_over_restarts<F: Fixture>(f: &F) {
    let mut stage = Stage::set(f, 1).await;
    let begun = Instant::now();
    for number in 0..5 {
        stage.publish(records(&stage.channel, "k", number * 2..number * 2 + 2)).await;
        let mut consumer = stage.consumer().await;
        let received = consumer.take(2).await;
        assert_eq!(numbers(&received), [number * 2, number * 2 + 1], "after {:?}", begun.elapsed());
        consumer.settle(received).await;
        f.restart().await;
        drop(consumer);
        stage.reopen().await;
    }
    stage.expect_lag(0).await;
    stage.consumer().await.expect_nothing().await;
}
