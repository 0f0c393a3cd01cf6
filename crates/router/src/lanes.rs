//! Hand-overs: one at a time for each partition of `events`, those of different partitions at once.
//!
//! Records of one key stand in one partition, so two hand-overs of one partition could store the deliveries of a key in the
//! wrong order, above all when the first one fails and is tried again; hand-overs of different partitions can't. What
//! gathers while a partition's hand-over is under way goes with the next one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::Utc;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use trunkline_sdk::broker::{HandOverError, Outgoing, Receipt, Settler};
use trunkline_sdk::service::Pauses;

use crate::convert::{Converted, Converter};
use crate::flow::FlowError;
use crate::measure;

/// Batches that may wait for the hand-overs before theirs.
const WAITING: usize = 16;
/// Events of one hand-over, about.
const MOST_EVENTS: usize = 4000;

/// What became of records of one partition.
pub(crate) struct Routed {
    pub(crate) partition: u16,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) converted: Converted,
}

/// What waits, and where hand-overs are under way.
#[derive(Default)]
struct Lanes {
    waiting: BTreeMap<u16, Vec<Routed>>,
    batches: usize,
    busy: BTreeSet<u16>,
}

/// Hands over all that comes until there will be no more. `Ok(false)` when something could not be in the grace period.
///
/// # Errors
/// [`FlowError`]; whatever was not settled is still on the broker.
pub(crate) async fn hand_over_all(
    settler: &dyn Settler,
    converter: &Converter,
    mut batches: mpsc::Receiver<Vec<Routed>>,
    shutdown: &CancellationToken,
    grace: Duration,
) -> Result<bool, FlowError> {
    let mut overdue = std::pin::pin!(async {
        shutdown.cancelled().await;
        tokio::time::sleep(grace).await;
    });
    let mut lanes = Lanes::default();
    let mut flying = FuturesUnordered::new();
    let mut is_open = true;
    while is_open || !flying.is_empty() {
        tokio::select! {
            biased;
            Some(done) = flying.next() => {
                lanes.busy.remove(&done?);
            }
            batch = batches.recv(), if is_open && lanes.batches < WAITING => match batch {
                Some(batch) => batch.into_iter().for_each(|routed| lanes.add(routed)),
                None => is_open = false,
            },
            () = &mut overdue => return Ok(false),
        }
        while let Some((partition, receipts, outputs)) = lanes.next() {
            flying.push(async move {
                hand_over(settler, converter, receipts, outputs).await?;
                Ok::<_, FlowError>(partition)
            });
        }
    }
    Ok(true)
}

impl Lanes {
    fn add(&mut self, routed: Routed) {
        measure::batch(&routed.converted, routed.receipts.len());
        self.batches += 1;
        self.waiting.entry(routed.partition).or_default().push(routed);
    }

    /// What a partition without a hand-over under way has next.
    fn next(&mut self) -> Option<(u16, Vec<Receipt>, Vec<Outgoing>)> {
        let partition = *self.waiting.keys().find(|partition| !self.busy.contains(partition))?;
        let mut waiting = self.waiting.remove(&partition)?;
        let mut events = 0;
        let fit = waiting.iter().take_while(|routed| {
            let before = events;
            events += routed.receipts.len();
            before == 0 || events <= MOST_EVENTS
        });
        let fit = fit.count();
        let (mut receipts, mut outputs) = (Vec::new(), Vec::new());
        for routed in waiting.drain(..fit) {
            append(&mut receipts, routed.receipts);
            append(&mut outputs, routed.converted.outputs);
        }
        if !waiting.is_empty() {
            self.waiting.insert(partition, waiting);
        }
        self.batches -= fit;
        self.busy.insert(partition);
        Some((partition, receipts, outputs))
    }
}

/// Mostly there is one batch, which is then not moved.
fn append<T>(all: &mut Vec<T>, mut more: Vec<T>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.append(&mut more);
    }
}

/// Hands over, however long the broker is away.
async fn hand_over(
    settler: &dyn Settler,
    converter: &Converter,
    mut inputs: Vec<Receipt>,
    mut outputs: Vec<Outgoing>,
) -> Result<(), FlowError> {
    let mut pauses = Pauses::of_hand_over();
    let mut stuck = None;
    loop {
        let started = std::time::Instant::now();
        match settler.hand_over(inputs, outputs.clone()).await {
            Ok(()) => {
                measure::handed_over(started.elapsed());
                return Ok(());
            }
            Err(HandOverError::Unavailable { cause, inputs: back, stored }) => {
                inputs = back;
                leave_out(&mut outputs, stored);
                stuck.get_or_insert_with(measure::Stuck::begin);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(partition: u16, outputs: u64) -> Routed {
        let output = |number: u64| {
            let key = bytes::Bytes::from(number.to_be_bytes().to_vec());
            Outgoing::new(trunkline_sdk::broker::ChannelName::journey(), key.clone(), key)
        };
        let converted = Converted { outputs: (0..outputs).map(output).collect(), ..Converted::default() };
        Routed { partition, receipts: Vec::new(), converted }
    }

    fn next(lanes: &mut Lanes) -> Option<(u16, usize)> {
        lanes.next().map(|(partition, _, outputs)| (partition, outputs.len()))
    }

    #[test]
    fn a_partition_has_one_hand_over_at_a_time_and_what_gathers_meanwhile_goes_with_the_next() {
        let mut lanes = Lanes::default();
        [routed(0, 1), routed(1, 2), routed(0, 4)].into_iter().for_each(|routed| lanes.add(routed));
        assert_eq!((next(&mut lanes), next(&mut lanes)), (Some((0, 5)), Some((1, 2))));
        [routed(0, 8), routed(0, 16), routed(2, 32)].into_iter().for_each(|routed| lanes.add(routed));
        assert_eq!((next(&mut lanes), next(&mut lanes)), (Some((2, 32)), None));
        lanes.busy.remove(&0);
        assert_eq!((next(&mut lanes), next(&mut lanes), lanes.batches), (Some((0, 24)), None, 0));
    }
}
