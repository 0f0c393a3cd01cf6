//! How batches move: one is routed while the one before is handed over.
//!
//! Hand-overs of a router happen one after the other, because two at once could store the deliveries of one key in
//! the wrong order.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::Utc;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use trunkline_rules::RuleSet;
use trunkline_sdk::broker::{
    ConsumeError, HandOverError, Intake, Intaken, Outgoing, Receipt, Received, RecordFailure, Settler,
};
use trunkline_sdk::service::Pauses;

use crate::convert::{Converted, Converter};
use crate::measure;
use crate::restraint::Restraint;

/// Why a router stopped other than by being asked to.
#[derive(Debug, Error)]
pub enum FlowError {
    /// Another instance took this one's place.
    #[error("another instance took over")]
    Fenced,
    /// `events` can't be consumed any more.
    #[error("events can't be taken in")]
    Consume(#[from] ConsumeError),
    /// An output that is refused whatever is done with it; the events stay unsettled on the broker.
    #[error("the broker refuses an output for ever: {0}")]
    Refused(RecordFailure),
    /// A thread of the router panicked; the events stay unsettled on the broker.
    #[error("the router failed on a batch")]
    Panicked(#[source] tokio::task::JoinError),
}

/// Moves batches from `events` to `deliver.*` until asked to stop.
pub struct Flow {
    /// Where events come from.
    pub intake: Box<dyn Intake>,
    /// Where they are settled.
    pub settler: Arc<dyn Settler>,
    /// What becomes of a batch.
    pub converter: Arc<Converter>,
    /// The rule set of the moment; each batch is routed by exactly one.
    pub rules: Arc<ArcSwap<RuleSet>>,
    /// How long an interrupted hand-over is tried on after a stop was asked for.
    pub grace: Duration,
}

struct Routed {
    receipts: Vec<Receipt>,
    converted: Converted,
    records: usize,
}

impl Flow {
    /// Runs until `shutdown`; batches under way are handed over first. `Ok(false)` when one could not be in the grace
    /// period (its events are routed again at the next start).
    ///
    /// # Errors
    /// [`FlowError`]; whatever was not settled is still on the broker.
    pub async fn run(self, shutdown: CancellationToken) -> Result<bool, FlowError> {
        let Self { mut intake, settler, converter, rules, grace } = self;
        let (sender, receiver) = mpsc::channel(1);
        let handed_by = converter.clone();
        // Ends the other half when one half fails, so that neither waits for ever.
        let stop = shutdown.child_token();
        let taking = async {
            let _stop = stop.clone().drop_guard();
            take(intake.as_mut(), converter, rules, sender, &stop).await
        };
        let handing = async {
            let _stop = stop.clone().drop_guard();
            hand_over_all(settler.as_ref(), &handed_by, receiver, &shutdown, grace).await
        };
        let (taken, handed) = tokio::join!(taking, handing);
        taken?;
        handed
    }
}

async fn take(
    intake: &mut dyn Intake,
    converter: Arc<Converter>,
    rules: Arc<ArcSwap<RuleSet>>,
    sender: mpsc::Sender<Routed>,
    stop: &CancellationToken,
) -> Result<(), FlowError> {
    let mut restraint = Restraint::default();
    loop {
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            taken = intake.next() => match taken? {
                Intaken::Batch(batch) => batch,
                // Nothing is kept between batches, so a lease that comes or goes needs no answer: receipts of a lost
                // one are ignored by the settler.
                Intaken::Assigned(_) | Intaken::Revoking(..) | Intaken::Lost(_) => continue,
            },
        };
        let rules = rules.load_full();
        let converter = converter.clone();
        // Patterns and programs use the processor; keep them off the threads that serve everybody.
        let routing = tokio::task::spawn_blocking(move || {
            let routed = route(&converter, rules, &mut restraint, batch);
            (routed, restraint)
        });
        let routed;
        (routed, restraint) = routing.await.map_err(FlowError::Panicked)?;
        if sender.send(routed).await.is_err() {
            return Ok(());
        }
    }
}

fn route(
    converter: &Converter,
    rules: Arc<RuleSet>,
    restraint: &mut Restraint,
    batch: Vec<Received>,
) -> Routed {
    let allowances = restraint.begin(&rules);
    let converted = converter.convert(&rules, allowances, &batch, Utc::now());
    restraint.report();
    let records = batch.len();
    Routed { receipts: batch.into_iter().map(|record| record.receipt).collect(), converted, records }
}

async fn hand_over_all(
    settler: &dyn Settler,
    converter: &Converter,
    mut batches: mpsc::Receiver<Routed>,
    shutdown: &CancellationToken,
    grace: Duration,
) -> Result<bool, FlowError> {
    while let Some(batch) = batches.recv().await {
        measure::batch(&batch.converted, batch.records);
        let done = hand_over(settler, converter, batch.receipts, batch.converted.outputs);
        let overdue = async {
            shutdown.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            done = done => done?,
            () = overdue => return Ok(false),
        }
    }
    Ok(true)
}

/// Hands one batch over, however long the broker is away.
async fn hand_over(
    settler: &dyn Settler,
    converter: &Converter,
    mut inputs: Vec<Receipt>,
    mut outputs: Vec<Outgoing>,
) -> Result<(), FlowError> {
    let mut pauses = Pauses::of_hand_over();
    loop {
        let started = std::time::Instant::now();
        match settler.hand_over(inputs, outputs.clone()).await {
            Ok(()) => {
                measure::handed_over(started.elapsed());
                measure::stuck(false);
                return Ok(());
            }
            Err(HandOverError::Unavailable { cause, inputs: back, stored }) => {
                inputs = back;
                leave_out(&mut outputs, stored);
                measure::stuck(true);
                let pause = pauses.longer();
                warn!(error = %cause, pause_ms = pause.as_millis() as u64, "the broker did not take a batch; it is tried again");
                tokio::time::sleep(pause).await;
            }
            Err(HandOverError::Refused { failures, inputs: back }) => {
                inputs = back;
                warn!(refused = failures.len(), first = %failures[0], "the broker will never take some of a batch");
                if let Err(failure) = converter.set_aside(&mut outputs, failures, Utc::now()) {
                    // A channel that is missing, or that takes not even dead letters.
                    let channel =
                        outputs.get(failure.index).map(|output| output.channel.as_str()).unwrap_or_default();
                    error!(channel, error = %failure, "the broker refuses a record for ever; the router stops with its events unsettled");
                    return Err(FlowError::Refused(failure));
                }
            }
            Err(HandOverError::Fenced) => return Err(FlowError::Fenced),
        }
    }
}

/// Leaves out what is stored already, or it would be made again with each try.
fn leave_out(outputs: &mut Vec<Outgoing>, stored: Vec<usize>) {
    let mut stored = stored.into_iter().peekable();
    let mut index = 0;
    outputs.retain(|_| {
        index += 1;
        stored.next_if_eq(&(index - 1)).is_none()
    });
}
