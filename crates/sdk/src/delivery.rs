//! The delivery runtime: what happens to deliveries, alike for every destination.
//!
//! It takes deliveries from the `deliver.*` channels, puts them in lanes by key, has the adapters attempt them within
//! each destination's concurrency, rate and circuit, and turns every outcome into exactly one of: settled, handed over
//! to be attempted again later, dead-lettered, or held back on the broker. An adapter only attempts.
//!
//! One task owns all state of all destinations and never waits for any of them: attempts are tasks of their own, and what
//! they lead to is settled by another task in batches. So one destination's trouble never slows another, and there is
//! no lock. Memory is bounded by the engine, which gives each channel's records only up to a bound until they are settled.
//! The cost is that a record counts against that bound while it waits in its lane.
//!
//! A delivery leaves the runtime in two ways only: settled together with its stored consequence, or given back to the
//! engine by dropping its receipt. Whatever fails here, a panic included, ends in the second.
//!
//! Read `outcome` for what an attempt's outcome leads to, `gate` for when attempts are made at all, `lanes` for their
//! order, `attempt` and `handover` for the doing, and `pump` for the loop that drives them.

mod alarm;
mod attempt;
mod clock;
mod gate;
mod handover;
mod hosting;
mod journal;
mod lanes;
mod measure;
mod outcome;
mod pace;
mod pump;
mod settlement;
mod states;
#[cfg(test)]
mod tests;
mod traced;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch as cell};
use tokio_util::sync::CancellationToken;
use trunkline_broker::{Broker, ConsumeError};
use trunkline_core::DestinationName;

use crate::config::{DestinationSettings, JourneyMode};
use crate::registry::AnyDestination;
use crate::secrets::Secrets;

pub use clock::Clock;
pub use states::{DestinationStates, StatesError};

/// What a runtime works with.
pub struct RuntimeParts {
    /// Where deliveries come from and where their consequences go. The channels of all destinations are ensured.
    pub broker: Arc<dyn Broker>,
    /// The states of destinations, shared with the console and other dispatchers.
    pub states: Arc<dyn DestinationStates>,
    /// The process's name, as attempts and the journey tell it.
    pub instance: String,
    /// Which steps the journey records.
    pub journey: JourneyMode,
    /// The longest record in bytes that the channels take.
    pub max_record: usize,
    /// The destinations to serve.
    pub destinations: Vec<Hosted>,
    /// Says what time it is.
    pub clock: Clock,
}

/// A destination that a runtime serves.
#[derive(Clone)]
pub struct Hosted {
    /// Its configured name.
    pub name: DestinationName,
    /// Attempts its deliveries.
    pub adapter: Arc<dyn AnyDestination>,
    /// What the runtime does for it.
    pub settings: DestinationSettings,
    /// The secrets its adapter reads: a changed one lets a held destination try again.
    pub secrets: Secrets,
}

/// Serves destinations until it is told to stop.
pub struct Runtime {
    parts: RuntimeParts,
    commands: mpsc::Receiver<Command>,
    taking: cell::Sender<bool>,
}

/// Speaks to a running [`Runtime`].
#[derive(Clone)]
pub struct RuntimeHandle {
    commands: mpsc::Sender<Command>,
    taking: cell::Receiver<bool>,
}

/// How a runtime ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    /// Whether every attempt that was under way ended and was settled within the grace period. If not, those
    /// deliveries are still on the broker and will be attempted again (exit code 6).
    pub settled_all: bool,
}

/// Why a runtime ended before it was told to. No delivery is lost: what was not settled is still on the broker.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// Another instance took this one's place (exit code 5).
    #[error("another instance took over")]
    Fenced,
    /// Deliveries can't be taken in any more; a new runtime may be able to.
    #[error("deliveries can't be taken in")]
    Consume(#[source] ConsumeError),
    /// The states of destinations could not be read at the start. Without them a paused destination would get deliveries.
    #[error("the states of destinations can't be read")]
    States(#[source] StatesError),
    /// A task of the runtime itself failed.
    #[error("a task of the delivery runtime failed")]
    Failed(#[source] tokio::task::JoinError),
}

/// Why the served destinations were not replaced.
#[derive(Debug, Error)]
pub enum ReplaceError {
    /// The engine refused a channel; destinations that were served before still are.
    #[error("a destination's channel can't be consumed")]
    Consume(#[from] ConsumeError),
    /// The runtime has ended.
    #[error("the delivery runtime has ended")]
    Ended,
}

enum Command {
    Replace(Vec<Hosted>, oneshot::Sender<Result<(), ConsumeError>>),
}

impl Runtime {
    /// A runtime that serves `parts.destinations` once it runs, and the handle that speaks to it.
    pub fn new(parts: RuntimeParts) -> (Self, RuntimeHandle) {
        let (sender, commands) = mpsc::channel(4);
        let (taking, taken) = cell::channel(false);
        (Self { parts, commands, taking }, RuntimeHandle { commands: sender, taking: taken })
    }

    /// Serves until `shutdown`. Then nothing more is taken, deliveries that were not attempted yet are given back, and
    /// attempts under way have `grace` to end and be settled.
    ///
    /// # Errors
    /// [`RuntimeError`]; attempts under way were given `grace` as well, except when fenced.
    pub async fn run(self, shutdown: CancellationToken, grace: Duration) -> Result<RunEnd, RuntimeError> {
        pump::run(self, shutdown, grace).await
    }
}

impl RuntimeHandle {
    /// Serves exactly `destinations` from now on. Channels of new ones must be ensured before. A destination whose
    /// adapter is another one than before (not the same `Arc`) or whose settings differ is changed: attempts under way end
    /// with the adapter they began with, later ones are made by the new one, and a held one is tried at once. What a
    /// removed destination had not attempted is given back.
    ///
    /// # Errors
    /// [`ReplaceError`].
    pub async fn replace(&self, destinations: Vec<Hosted>) -> Result<(), ReplaceError> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Replace(destinations, answer);
        self.commands.send(command).await.map_err(|_ended| ReplaceError::Ended)?;
        answered.await.map_err(|_ended| ReplaceError::Ended)?.map_err(ReplaceError::Consume)
    }

    /// Whether the runtime takes deliveries in, for readiness.
    pub fn is_taking(&self) -> bool {
        *self.taking.borrow()
    }

    /// Waits until the runtime takes deliveries in; `false` when it ended before. Cancel-safe.
    pub async fn begun(&self) -> bool {
        self.taking.clone().wait_for(|taking| *taking).await.is_ok()
    }
}
