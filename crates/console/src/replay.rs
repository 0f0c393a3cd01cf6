//! Replays: the worker that gives frozen selections of dead letters another life.
//!
//! What is replayed was decided, and frozen in the store, when the replay was made. The worker takes pending items, makes
//! their records, publishes them and marks them; after a crash it goes on where marks end, so that an item may be
//! published twice with one generation, and none is left out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::Utc;
use metrics::{counter, histogram};
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use trunkline_rules::RuleSet;
use trunkline_sdk::broker::Broker;
use trunkline_sdk::metric;
use trunkline_sdk::store::{ItemOutcome, Replay, ReplayItem, Store, StoreError};

mod batch;
mod pace;
mod portion;
pub mod render;

use batch::Maker;
use pace::Pace;
use portion::Portion;
use render::Sources;

/// The origin of webhooks that did not normalize.
pub(crate) const GATEWAY: &str = "gateway";

/// Items of one publish, at most: what a crash may send twice, and what is in memory of one replay.
pub const BATCH: u32 = 100;
/// Items of a replay's first publish, while nothing is known of their size: as many of the largest as memory bears.
pub const FIRST_BATCH: u32 = 8;
/// Bytes of one publish: no further item is added beyond them.
pub const BATCH_BYTES: usize = 8 << 20;
/// Replays that are worked on at once; a slow one stops no other.
const AT_ONCE: usize = 16;
/// How long a console that works on a replay is trusted to be alive.
const LEASE: Duration = Duration::from_secs(30);
/// How often another console's unfinished replays are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long to wait when the broker takes nothing.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a batch that was begun may take to end when the console stops.
const LAST_BATCH: Duration = Duration::from_secs(2);

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
    /// The longest record the channels take, in bytes.
    pub max_record: usize,
    /// Rung when a replay was made.
    pub bell: Arc<Notify>,
}

impl Worker {
    /// Runs until `shutdown`; a replay under way goes on at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut tasks: JoinSet<()> = JoinSet::new();
        let mut under_way: HashMap<Id, String> = HashMap::new();
        while !shutdown.is_cancelled() {
            match self.store.unfinished_replays().await {
                Ok(replays) => self.take_up(replays, &mut tasks, &mut under_way, &shutdown),
                Err(error) => error!(%error, "the store does not say which replays are unfinished"),
            }
            let look_again = tokio::time::sleep(LOOK_EVERY);
            tokio::pin!(look_again);
            // A replay that ended is no reason to look: it may have ended because another console has it.
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = self.bell.notified() => break,
                    () = &mut look_again => break,
                    Some(ended) = tasks.join_next_with_id() => forget(&mut under_way, ended),
                }
            }
        }
        let drained = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_BATCH, drained).await.is_err() {
            warn!("the last batch of a replay did not end in time; it may be sent again at the next start");
        }
    }

    fn take_up(
        &self,
        replays: Vec<Replay>,
        tasks: &mut JoinSet<()>,
        under_way: &mut HashMap<Id, String>,
        shutdown: &CancellationToken,
    ) {
        for replay in replays {
            let id = replay.made.id.clone();
            if tasks.len() >= AT_ONCE || under_way.values().any(|other| *other == id) {
                continue;
            }
            let (worker, shutdown) = (self.clone(), shutdown.clone());
            let task = tasks.spawn(async move {
                if let Err(error) = worker.work(&replay, &shutdown).await {
                    error!(replay = replay.made.id, %error, "a replay pauses; it goes on by itself");
                }
            });
            under_way.insert(task.id(), id);
        }
    }

    async fn work(&self, replay: &Replay, shutdown: &CancellationToken) -> Result<(), StoreError> {
        let id = &replay.made.id;
        let mut pace = Pace::new(replay.made.rate);
        let mut portion = Portion::new();
        let mut claimed: Option<Instant> = None;
        loop {
            // Items are fetched after the wait: what an operator cancels meanwhile is not sent.
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = pace.ready() => {}
            }
            if claimed.is_none_or(|claimed| claimed.elapsed() > LEASE / 3) {
                let now = Utc::now();
                if !self.store.claim_replay(id, &self.instance, now + LEASE, now).await? {
                    return Ok(());
                }
                claimed = Some(Instant::now());
            }
            let items = self.store.next_items(id, pace.batch(portion.items()), Utc::now()).await?;
            if items.is_empty() {
                info!(replay = id, destination = replay.made.destination, "a replay is over");
                return Ok(());
            }
            pace.went(items.len());
            let (outcomes, wanted) = self.send(replay, items, &mut portion).await;
            let marked = outcomes.len();
            if marked > 0 {
                self.store.mark_items(id, &outcomes, Utc::now()).await?;
                let sent = outcomes.iter().filter(|(_, outcome)| *outcome == ItemOutcome::Sent).count();
                let destination = replay.made.destination.clone();
                counter!(metric::CONSOLE_REPLAYED, "destination" => destination).increment(sent as u64);
            }
            if marked < wanted {
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(AGAIN) => {}
                }
            }
        }
    }

    /// Publishes items, from the first on as many as are not too long together, and says of how many it tried what is to be
    /// marked; those that are not among it are tried again, with their generation, which makes a second copy one replay.
    async fn send(
        &self,
        replay: &Replay,
        items: Vec<ReplayItem>,
        portion: &mut Portion,
    ) -> (Vec<(u64, ItemOutcome)>, usize) {
        let (made, instance) = (replay.made.clone(), self.instance.clone());
        let (rules, sources) = (self.rules.load_full(), self.sources.load_full());
        let (max_record, wanted) = (self.max_record, items.len());
        // Transforms block for as long as they run.
        let making = tokio::task::spawn_blocking(move || {
            let now = Utc::now();
            let (replay, rules, sources, instance) = (&made, &*rules, &*sources, &*instance);
            Maker { replay, rules, sources, instance, max_record, now }.batch(&items, BATCH_BYTES)
        });
        let mut batch = match making.await {
            Ok(batch) => batch,
            Err(error) => {
                error!(replay = replay.made.id, %error, "a replay's deliveries could not be made");
                return (Vec::new(), wanted);
            }
        };
        let (tried, bytes) = batch.size();
        portion.took(tried, bytes);
        let started = Instant::now();
        let published = self.broker.publish(batch.take()).await;
        histogram!(metric::PUBLISH_DURATION, "service" => "console").record(started.elapsed().as_secs_f64());
        if let Err(error) = &published {
            error!(replay = replay.made.id, %error, "the broker does not take all of a replay's deliveries");
        }
        (batch.outcomes(published), tried)
    }
}

fn forget(under_way: &mut HashMap<Id, String>, ended: Result<(Id, ()), JoinError>) {
    let id = match ended {
        Ok((id, ())) => id,
        Err(error) => {
            error!(%error, "a replay's task ended badly; it is taken up again");
            error.id()
        }
    };
    under_way.remove(&id);
}
