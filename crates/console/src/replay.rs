//! Replays: the worker that gives frozen selections of dead letters another life.
//!
//! What is replayed was decided, and frozen in the store, when the replay was made. The worker takes pending items, makes
//! their records, publishes them and marks them; after a crash it goes on where marks end, so that an item may be
//! published twice with one generation, and none is left out.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use chrono::Utc;
use metrics::counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use trunkline_rules::RuleSet;
use trunkline_sdk::broker::{Broker, ChannelName, Outgoing};
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::metric;
use trunkline_sdk::store::{ItemOutcome, Replay, ReplayItem, Store, StoreError};

pub mod render;

use render::{Life, Sources};

/// Items of one publish, at most.
const BATCH: u32 = 200;
/// How long a console that works on a replay is trusted to be alive.
const LEASE: Duration = Duration::from_secs(30);
/// How often another console's unfinished replays are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Works on replays.
#[derive(Clone)]
pub struct Worker {
    /// Where records go.
    pub broker: Arc<dyn Broker>,
    /// Where replays stand.
    pub store: Store,
    /// Today's transforms.
    pub rules: Arc<ArcSwap<RuleSet>>,
    /// Today's webhook sources.
    pub sources: Arc<ArcSwap<Sources>>,
    /// The process's name.
    pub instance: String,
    /// Rung when a replay was made.
    pub bell: Arc<Notify>,
}

impl Worker {
    /// Runs until `shutdown`; a replay under way goes on at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        loop {
            match self.store.unfinished_replays().await {
                Ok(replays) => {
                    for replay in replays {
                        tokio::select! {
                            () = shutdown.cancelled() => return,
                            ended = self.work(&replay) => if let Err(error) = ended {
                                error!(replay = replay.made.id, %error, "a replay pauses; it goes on by itself");
                            },
                        }
                    }
                }
                Err(error) => error!(%error, "the store does not say which replays are unfinished"),
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.bell.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn work(&self, replay: &Replay) -> Result<(), StoreError> {
        let id = &replay.made.id;
        let mut pace = Pace::new(replay.made.rate);
        loop {
            let now = Utc::now();
            if !self.store.claim_replay(id, &self.instance, now + LEASE, now).await? {
                return Ok(());
            }
            let items = self.store.next_items(id, pace.batch(BATCH), now).await?;
            if items.is_empty() {
                info!(replay = id, destination = replay.made.destination, "a replay is done");
                return Ok(());
            }
            pace.wait(items.len()).await;
            let (outgoing, outcomes) = self.prepare(replay, &items);
            if let Err(error) = self.broker.publish(outgoing).await {
                // Nothing is marked, so these items are published again; with one generation they are one replay.
                error!(replay = id, %error, "the broker does not take a replay's deliveries; they are tried again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            self.store.mark_items(id, &outcomes, Utc::now()).await?;
            let sent = outcomes.iter().filter(|(_, outcome)| *outcome == ItemOutcome::Sent).count();
            let destination = replay.made.destination.clone();
            counter!(metric::CONSOLE_REPLAYED, "destination" => destination).increment(sent as u64);
        }
    }

    /// The records of some items, with the journey, and what is to be marked once they are stored.
    fn prepare(&self, replay: &Replay, items: &[ReplayItem]) -> (Vec<Outgoing>, Vec<(u64, ItemOutcome)>) {
        let (rules, sources) = (self.rules.load(), self.sources.load());
        let now = Utc::now();
        let max_record = self.broker.capabilities().max_record;
        let (mut outgoing, mut outcomes, mut steps) = (Vec::new(), Vec::new(), Vec::new());
        let mut counts = JourneyCounts::default();
        for item in items {
            let outcome = match render::life(item, &replay.made, &rules, &sources, now) {
                Ok(Life::Delivery(delivery)) => match DestinationName::parse(&delivery.destination) {
                    Ok(name) => {
                        counts.replayed += 1;
                        steps.push(JourneyStep::of_delivery(Step::Replayed, &delivery, now));
                        let channel = ChannelName::deliver(&name);
                        outgoing.push(Outgoing::new(channel, delivery.event.key(), delivery.encode()));
                        ItemOutcome::Sent
                    }
                    Err(error) => ItemOutcome::Skipped(error.to_string()),
                },
                Ok(Life::Events(events)) => {
                    for event in events {
                        counts.accepted += 1;
                        steps.push(JourneyStep::of(Step::Accepted, &event, now));
                        outgoing.push(Outgoing::new(
                            ChannelName::events(),
                            event.key(),
                            event.encoded().clone(),
                        ));
                    }
                    ItemOutcome::Sent
                }
                Err(reason) => ItemOutcome::Skipped(reason),
            };
            outcomes.push((item.position, outcome));
        }
        let instance = self.instance.clone();
        let record = JourneyRecord { instance, service: "console".to_owned(), time: now, steps, counts };
        let key = Bytes::copy_from_slice(self.instance.as_bytes());
        for record in record.fitting(max_record / 2) {
            outgoing.push(Outgoing::new(ChannelName::journey(), key.clone(), record.encode()));
        }
        (outgoing, outcomes)
    }
}

/// Keeps a replay within its rate: batches of at most a tenth of a second's worth, each at its time.
struct Pace {
    rate: Option<f64>,
    next: tokio::time::Instant,
}

impl Pace {
    fn new(rate: Option<f64>) -> Self {
        Self { rate: rate.filter(|rate| rate.is_finite() && *rate > 0.0), next: tokio::time::Instant::now() }
    }

    fn batch(&self, most: u32) -> u32 {
        self.rate.map_or(most, |rate| ((rate / 10.0) as u32).clamp(1, most))
    }

    async fn wait(&mut self, items: usize) {
        let Some(rate) = self.rate else { return };
        let now = tokio::time::Instant::now();
        tokio::time::sleep_until(self.next).await;
        self.next = self.next.max(now) + Duration::from_secs_f64(items as f64 / rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept() {
        let mut pace = Pace::new(Some(50.0));
        assert_eq!(pace.batch(BATCH), 5);
        let started = tokio::time::Instant::now();
        for _ in 0..20 {
            pace.wait(5).await;
        }
        let took = started.elapsed().as_secs_f64();
        assert!((1.85..=1.95).contains(&took), "100 at 50 a second, the last batch at 1.9 s: {took}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let mut pace = Pace::new(None);
        let started = tokio::time::Instant::now();
        pace.wait(10_000).await;
        assert_eq!((pace.batch(BATCH), started.elapsed()), (BATCH, Duration::ZERO));
        assert_eq!(Pace::new(Some(f64::NAN)).batch(BATCH), BATCH);
    }
}
