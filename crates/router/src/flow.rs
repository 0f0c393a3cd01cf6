//! How batches move: one is routed while those before are handed over (`lanes`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{TimeDelta, Utc};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use trunkline_rules::RuleSet;
use trunkline_sdk::broker::{ConsumeError, Intake, Intaken, Received, RecordFailure, Settler};

use crate::convert::Converter;
use crate::lanes::{Routed, hand_over_all};
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
    sender: mpsc::Sender<Vec<Routed>>,
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

/// Routes each partition's records by themselves, because they are handed over by themselves. Their times differ, because
/// the journey record of each is known by its content, which may be nothing but a time and numbers.
fn route(
    converter: &Converter,
    rules: Arc<RuleSet>,
    restraint: &mut Restraint,
    batch: Vec<Received>,
) -> Vec<Routed> {
    let allowances = restraint.begin(&rules);
    let now = Utc::now();
    let routed = by_partition(batch).into_iter().zip(0..).map(|((partition, records), nanos)| {
        let now = now + TimeDelta::nanoseconds(nanos);
        let converted = converter.convert(&rules, allowances, &records, now);
        let receipts = records.into_iter().map(|record| record.receipt).collect();
        Routed { partition, receipts, converted }
    });
    let routed = routed.collect();
    restraint.report();
    routed
}

fn by_partition(batch: Vec<Received>) -> BTreeMap<u16, Vec<Received>> {
    let mut parts: BTreeMap<u16, Vec<Received>> = BTreeMap::new();
    for record in batch {
        parts.entry(record.position.partition).or_default().push(record);
    }
    parts
}
