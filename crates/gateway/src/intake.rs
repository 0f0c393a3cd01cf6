//! From a request's events to the broker's confirmation.
//!
//! Requests of many connections are gathered into batches: one look-up of seen ids, one publish with one journey record, one
//! note of what was seen. An id counts as seen only after the broker confirmed its event. Of equal events under way at
//! the same time the first is published, the others wait for its answer and share it.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use trunkline_sdk::Event;
use trunkline_sdk::broker::{Broker, Headers};
use trunkline_sdk::config::JourneyMode;
use trunkline_sdk::store::Store;

mod batch;
mod gather;
mod window;

/// What happened to one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The broker stored it.
    Accepted,
    /// It was accepted before; not carried again.
    Duplicate,
}

/// Why a request's events were not (all) accepted. Sending the request again is safe: what was accepted is recognised.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The broker can't be had, or did not confirm in time.
    #[error("the broker did not confirm")]
    Unavailable,
    /// The broker has no room.
    #[error("the broker has no room")]
    Full,
    /// An event is larger than the broker takes.
    #[error("an event of {size} bytes is larger than the {limit} the broker takes")]
    TooLarge {
        /// Bytes.
        size: usize,
        /// Bytes.
        limit: usize,
    },
    /// More requests are waiting than the gateway takes.
    #[error("too many requests wait for the broker")]
    Overloaded,
}

impl Refused {
    /// The refusal in one word.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Refused::Unavailable => "unavailable",
            Refused::Full => "full",
            Refused::TooLarge { .. } => "too_large",
            Refused::Overloaded => "overloaded",
        }
    }
}

/// What is published for a request.
#[derive(Clone)]
pub struct Submission {
    /// At least one event.
    pub events: Vec<Event>,
    /// Headers of the records (trace context).
    pub headers: Headers,
    /// Counts those that were accepted: whose they are is known where they come in.
    pub accepted: Counter,
}

/// Where requests leave their events. Cloning shares it.
#[derive(Clone)]
pub struct Intake {
    sender: mpsc::Sender<Waiting>,
    confirm_timeout: Duration,
}

/// What an intake works with.
#[derive(Clone)]
pub struct IntakeParts {
    /// Where events go.
    pub broker: Arc<dyn Broker>,
    /// Where seen ids are kept.
    pub store: Store,
    /// The process's name.
    pub instance: String,
    /// Which steps the journey records.
    pub journey: JourneyMode,
    /// How long ids are remembered; zero for not at all.
    pub dedupe: Duration,
    /// The longest record in bytes.
    pub max_record: usize,
    /// Requests that wait at once.
    pub max_waiting: usize,
    /// How long a request waits for the broker.
    pub confirm_timeout: Duration,
}

/// What became of a request: one entry per event.
type Answer = Result<Vec<Acceptance>, Refused>;

/// A request that waits for its answer.
struct Waiting {
    submission: Submission,
    answer: oneshot::Sender<Answer>,
}

impl Intake {
    /// Starts the task that publishes; it ends, after all waiting requests are answered, when the last clone is dropped.
    pub fn start(parts: IntakeParts) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(parts.max_waiting.max(1));
        let confirm_timeout = parts.confirm_timeout;
        let task = tokio::spawn(gather::run(Arc::new(parts), receiver));
        (Self { sender, confirm_timeout }, task)
    }

    /// Publishes a request's events. `Ok` only after the broker confirmed all of them; one entry per event.
    ///
    /// # Errors
    /// [`Refused`]. Events of the request may be stored all the same; sent again within the window they are duplicates.
    pub async fn submit(&self, submission: Submission) -> Result<Vec<Acceptance>, Refused> {
        let (answer, answered) = oneshot::channel();
        self.sender.try_send(Waiting { submission, answer }).map_err(|_full| Refused::Overloaded)?;
        match tokio::time::timeout(self.confirm_timeout, answered).await {
            Ok(Ok(result)) => result,
            // The task ended without an answer, or took too long: nothing is known, so nothing is promised.
            Ok(Err(_)) | Err(_) => Err(Refused::Unavailable),
        }
    }
}
