//! Producer adapters that fetch: a source runs and emits events.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use trunkline_core::Event;

use crate::destination::{Context, SetupError};

/// A platform that events are fetched from (polling, streaming).
pub trait Source: Sized + Send + 'static {
    /// The adapter's name in configurations (`adapter: NAME`).
    const NAME: &'static str;
    /// The adapter's own settings, under `settings:`.
    type Settings: DeserializeOwned + JsonSchema + Send;

    /// Makes the source from its settings.
    fn connect(
        settings: Self::Settings,
        context: &Context,
    ) -> impl Future<Output = Result<Self, SetupError>> + Send;

    /// Runs until `shutdown` or an error; the host starts it again after an error, with growing pauses.
    ///
    /// # Errors
    /// Whatever ended it.
    fn run(
        self,
        emitter: Emitter,
        shutdown: CancellationToken,
    ) -> impl Future<Output = Result<(), Box<dyn std::error::Error + Send + Sync>>> + Send;
}

/// Carries a source's events to the bus and keeps its cursor.
#[derive(Clone)]
pub struct Emitter {
    host: Arc<dyn EmitHost>,
}

/// Why events were not accepted.
#[derive(Debug, Error)]
pub enum EmitError {
    /// An event that the bus never takes.
    #[error("event {index}: {problem}")]
    Refused {
        /// Its index in the batch.
        index: usize,
        /// Why.
        problem: String,
    },
    /// Not now; emit them again.
    #[error("the bus can't be had")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The host's side of an [`Emitter`].
#[async_trait]
pub trait EmitHost: Send + Sync + 'static {
    /// As [`Emitter::emit`].
    async fn emit(&self, events: Vec<Event>, cursor: Option<String>) -> Result<(), EmitError>;
    /// As [`Emitter::cursor`].
    async fn cursor(&self) -> Result<Option<String>, EmitError>;
}

impl Emitter {
    /// An emitter on a host.
    pub fn new(host: Arc<dyn EmitHost>) -> Self {
        Self { host }
    }

    /// Publishes events; `Ok` only after the broker confirmed all of them. Then `cursor`, where given, is remembered.
    ///
    /// # Errors
    /// [`EmitError`]; the cursor then stays where it was.
    pub async fn emit(&self, events: Vec<Event>, cursor: Option<String>) -> Result<(), EmitError> {
        self.host.emit(events, cursor).await
    }

    /// Where this source stopped the last time.
    ///
    /// # Errors
    /// [`EmitError::Unavailable`] when the store can't be had.
    pub async fn cursor(&self) -> Result<Option<String>, EmitError> {
        self.host.cursor().await
    }
}
