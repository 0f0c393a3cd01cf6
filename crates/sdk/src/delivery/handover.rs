//! Settling in batches: what came of attempts is gathered for a moment and handed over at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};
use trunkline_broker::{HandOverError, Outgoing, PublishFailure, Receipt, RecordFailure, Settler};

use super::alarm::Alarm;
use super::clock::Clock;
use super::journal::Journal;
use super::measure;
use super::settlement::Settlement;
use crate::service::Pauses;

/// How long settlements are gathered: it delays a settlement, never an attempt.
const GATHER: Duration = Duration::from_millis(5);
/// How many settlements are handed over at once, at most.
const BATCH: usize = 256;
/// How many hand-overs may be under way.
const UNDER_WAY: usize = 4;

/// Another instance took this one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fenced;

/// What was set aside of a batch; the rest is settled.
type Settled = Result<Vec<Settlement>, Fenced>;

/// What becomes of settlements whose outputs the broker refuses now, for example because a channel is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenRefused {
    /// They leave the batch.
    SetAside,
    /// They are tried until they are taken.
    TryAgain,
}

/// Hands settlements over.
#[derive(Clone)]
pub(super) struct HandOver {
    pub(super) settler: Arc<dyn Settler>,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) alarm: Alarm,
}

impl HandOver {
    /// Runs until every sender of `settlements` is gone and all is settled. While the broker can't be had it tries
    /// again for ever, takes no more than a few batches, and so lets the attempts wait.
    pub(super) async fn run(self, mut settlements: mpsc::Receiver<Settlement>) -> Result<(), Fenced> {
        let this = Arc::new(self);
        let mut under_way: JoinSet<Settled> = JoinSet::new();
        // What the broker refuses for now. The engine bounds it, as it bounds each channel's unsettled records.
        let mut refused: JoinSet<Settled> = JoinSet::new();
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                // Cancel-safe, so that the end of another hand-over loses nothing here.
                taken = settlements.recv_many(&mut batch, BATCH), if under_way.len() < UNDER_WAY => {
                    if taken == 0 { break }
                }
                Some(end) = under_way.join_next() => {
                    this.set_aside(ended(end)?, &mut refused);
                    continue;
                }
                Some(end) = refused.join_next() => {
                    ended(end)?;
                    continue;
                }
            }
            gather(&mut settlements, &mut batch).await;
            let this = this.clone();
            under_way.spawn(async move { this.settle(batch, WhenRefused::SetAside).await });
        }
        while let Some(end) = under_way.join_next().await {
            this.set_aside(ended(end)?, &mut refused);
        }
        while let Some(end) = refused.join_next().await {
            ended(end)?;
        }
        Ok(())
    }

    /// Tries what was refused again on its own, so that it holds up nothing else.
    fn set_aside(self: &Arc<Self>, batch: Vec<Settlement>, refused: &mut JoinSet<Settled>) {
        if !batch.is_empty() {
            let this = self.clone();
            refused.spawn(async move { this.settle(batch, WhenRefused::TryAgain).await });
        }
    }

    /// Hands one batch over, until that worked or every lease of it is lost. Returns what was set aside.
    async fn settle(&self, mut batch: Vec<Settlement>, when_refused: WhenRefused) -> Settled {
        let now = self.clock.now();
        let mut set_aside = Vec::new();
        let mut pauses = Pauses::of_hand_over();
        let mut ringing = None;
        while !batch.is_empty() {
            let inputs =
                batch.iter_mut().filter_map(|settlement| settlement.receipt.take()).collect::<Vec<_>>();
            let (outputs, owners) = self.outputs(&batch, now);
            let began = Instant::now();
            let error = match self.settler.hand_over(inputs, outputs).await {
                Ok(()) => {
                    measure::handed_over(began.elapsed());
                    break;
                }
                Err(HandOverError::Fenced) => return Err(Fenced),
                Err(HandOverError::Unavailable { cause, inputs, stored }) => {
                    put_back(&mut batch, inputs);
                    let waiting = note(&mut batch, &owners, &stored);
                    // The journey of a batch is stored with it or not at all, so only then it may be divided.
                    let divisible = !stored.is_empty() && !waiting.contains(&None);
                    if when_refused == WhenRefused::SetAside && divisible {
                        set_aside.extend(split_off(&mut batch, &waiting));
                        continue;
                    }
                    HandOverError::Unavailable { cause, inputs: Vec::new(), stored }
                }
                Err(HandOverError::Refused { failures, inputs }) => {
                    put_back(&mut batch, inputs);
                    let culprits = self.shrink(&mut batch, &owners, &failures);
                    if culprits.is_empty() {
                        continue;
                    }
                    if when_refused == WhenRefused::SetAside && !culprits.contains(&None) {
                        set_aside.extend(split_off(&mut batch, &culprits));
                        continue;
                    }
                    HandOverError::Refused { failures, inputs: Vec::new() }
                }
            };
            ringing.get_or_insert_with(|| self.alarm.ring(&error));
            sleep(pauses.longer()).await;
            batch.retain(|settlement| !settlement.is_lost());
        }
        Ok(set_aside)
    }

    /// The records to publish, and for each the settlement it belongs to (`None`: the journey).
    fn outputs(
        &self,
        batch: &[Settlement],
        now: chrono::DateTime<chrono::Utc>,
    ) -> (Vec<Outgoing>, Vec<Option<usize>>) {
        let consequences = batch.iter().enumerate();
        let consequences =
            consequences.filter_map(|(index, settlement)| Some((settlement.outgoing()?, Some(index))));
        let journey = self.journal.records(batch, now).into_iter().map(|record| (record, None));
        consequences.chain(journey).unzip()
    }

    /// Makes the outputs that were refused for their size smaller. Returns whose outputs can't be, or were refused for
    /// another reason: with those only trying again is left.
    fn shrink(
        &self,
        batch: &mut [Settlement],
        owners: &[Option<usize>],
        failures: &[RecordFailure],
    ) -> Vec<Option<usize>> {
        let mut culprits = Vec::new();
        for failure in failures {
            let owner = owners.get(failure.index).copied().flatten();
            let shrunk = match (&failure.failure, owner.and_then(|owner| batch.get_mut(owner))) {
                (PublishFailure::TooLarge { .. }, Some(settlement)) => {
                    settlement.shrink(&failure.failure.to_string(), self.journal.max_record)
                }
                _ => false,
            };
            if !shrunk {
                culprits.push(owner);
            }
        }
        culprits
    }
}

/// Notes what is stored, which must not be published again. Returns whose outputs are not (`None`: the journey).
fn note(batch: &mut [Settlement], owners: &[Option<usize>], stored: &[usize]) -> Vec<Option<usize>> {
    let is_stored = |index: &usize| stored.binary_search(index).is_ok();
    let waiting: Vec<_> =
        (0..owners.len()).filter(|index| !is_stored(index)).map(|index| owners[index]).collect();
    for owner in stored.iter().filter_map(|index| owners.get(*index).copied().flatten()) {
        batch[owner].stored();
    }
    if !stored.is_empty() && !waiting.contains(&None) {
        batch.iter_mut().for_each(|settlement| settlement.journaled = true);
    }
    waiting
}

fn put_back(batch: &mut [Settlement], inputs: Vec<Receipt>) {
    // They were taken from the settlements in order, and so they go back.
    let holders = batch.iter_mut().filter(|settlement| settlement.settles);
    for (settlement, receipt) in holders.zip(inputs) {
        settlement.receipt = Some(receipt);
    }
}

/// Adds what comes in a moment.
async fn gather(settlements: &mut mpsc::Receiver<Settlement>, batch: &mut Vec<Settlement>) {
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH {
        match timeout_at(until, settlements.recv()).await {
            Ok(Some(settlement)) => batch.push(settlement),
            Ok(None) | Err(_) => break,
        }
    }
}

fn split_off(batch: &mut Vec<Settlement>, culprits: &[Option<usize>]) -> Vec<Settlement> {
    let whole = std::mem::take(batch).into_iter().enumerate();
    let (refused, rest): (Vec<_>, Vec<_>) = whole.partition(|(index, _)| culprits.contains(&Some(*index)));
    batch.extend(rest.into_iter().map(|(_, settlement)| settlement));
    refused.into_iter().map(|(_, settlement)| settlement).collect()
}

fn ended(end: Result<Settled, JoinError>) -> Settled {
    end.unwrap_or_else(|error| {
        // A panic dropped the batch, and with it gave its records back.
        tracing::error!(%error, "a hand-over failed; its deliveries were given back");
        Ok(Vec::new())
    })
}
