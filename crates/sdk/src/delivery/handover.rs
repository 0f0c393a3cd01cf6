//! Settling in batches: what came of attempts is gathered for a moment and handed over at once.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use trunkline_broker::{HandOverError, Outgoing, PublishFailure, Receipt, RecordFailure, Settler};

use super::alarm::Alarm;
use super::clock::Clock;
use super::journal::Journal;
use super::measure;
use super::settlement::Settlement;

/// How long settlements are gathered: it delays a settlement, never an attempt.
const GATHER: Duration = Duration::from_millis(5);
/// How many settlements are handed over at once, at most.
const BATCH: usize = 256;
/// How many hand-overs may be under way.
const UNDER_WAY: usize = 4;

/// Another instance took this one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fenced;

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
        let mut under_way: JoinSet<Result<(), Fenced>> = JoinSet::new();
        loop {
            while under_way.len() >= UNDER_WAY {
                ended(under_way.join_next().await)?;
            }
            let mut batch = Vec::new();
            tokio::select! {
                // Cancel-safe, so that the end of another hand-over loses nothing here.
                taken = settlements.recv_many(&mut batch, BATCH) => if taken == 0 { break },
                Some(end) = under_way.join_next() => {
                    ended(Some(end))?;
                    continue;
                }
            }
            gather(&mut settlements, &mut batch).await;
            let this = this.clone();
            under_way.spawn(async move { this.settle(batch).await });
        }
        while let Some(end) = under_way.join_next().await {
            ended(Some(end))?;
        }
        Ok(())
    }

    /// Hands one batch over, until that worked or every lease of it is lost.
    async fn settle(&self, mut batch: Vec<Settlement>) -> Result<(), Fenced> {
        let now = self.clock.now();
        let mut pauses = pauses();
        let mut ringing = None;
        while !batch.is_empty() {
            let inputs =
                batch.iter_mut().filter_map(|settlement| settlement.receipt.take()).collect::<Vec<_>>();
            let (outputs, owners) = self.outputs(&batch, now);
            let began = Instant::now();
            let (error, inputs) = match self.settler.hand_over(inputs, outputs).await {
                Ok(()) => {
                    measure::handed_over(began.elapsed());
                    return Ok(());
                }
                Err(HandOverError::Fenced) => return Err(Fenced),
                Err(HandOverError::Unavailable { cause, inputs }) => {
                    (HandOverError::Unavailable { cause, inputs: Vec::new() }, inputs)
                }
                Err(HandOverError::Refused { failures, inputs }) => {
                    if self.shrink(&mut batch, &owners, &failures) {
                        put_back(&mut batch, inputs);
                        continue;
                    }
                    (HandOverError::Refused { failures, inputs: Vec::new() }, inputs)
                }
            };
            put_back(&mut batch, inputs);
            ringing.get_or_insert_with(|| self.alarm.ring(&error));
            sleep(pauses.next().unwrap_or(LONGEST_PAUSE)).await;
            batch.retain(|settlement| !settlement.is_lost());
        }
        Ok(())
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

    /// Makes the outputs that were refused for their size smaller. `false` when one of them can't be, or was refused
    /// for another reason: then only trying again is left.
    fn shrink(&self, batch: &mut [Settlement], owners: &[Option<usize>], failures: &[RecordFailure]) -> bool {
        failures.iter().all(|failure| {
            let owner = owners.get(failure.index).copied().flatten();
            match (&failure.failure, owner) {
                (PublishFailure::TooLarge { .. }, Some(index)) => {
                    batch[index].shrink(&failure.failure.to_string(), self.journal.max_record)
                }
                _ => false,
            }
        })
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

fn pauses() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
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

fn ended(end: Option<Result<Result<(), Fenced>, tokio::task::JoinError>>) -> Result<(), Fenced> {
    match end {
        // A panic dropped the batch, and with it gave its records back.
        Some(Err(error)) => {
            tracing::error!(%error, "a hand-over failed; its deliveries were given back");
            Ok(())
        }
        Some(Ok(result)) => result,
        None => Ok(()),
    }
}
