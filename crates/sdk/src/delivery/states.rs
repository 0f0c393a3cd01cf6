//! The states of destinations, as the runtime needs them: shared with the console and with other dispatchers.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use thiserror::Error;
use trunkline_core::DestinationName;
use trunkline_store::DestinationStateKind::{Held, Open};
use trunkline_store::{DestinationState, DestinationStateKind, Store, StoreError};

/// The states can't be had now.
#[derive(Debug, Error)]
#[error("the store can't be had")]
pub struct StatesError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where the states of destinations are kept: the [`Store`]. A destination that is not in it is open.
///
/// Everything here may fail; deliveries then go on with the states last known, and changes are written when it can be
/// had again. `by` is the instance that asks.
#[async_trait]
pub trait DestinationStates: Send + Sync + 'static {
    /// A number that grows whenever any state changes: asked each second, so it must be cheap.
    async fn revision(&self) -> Result<u64, StatesError>;

    /// The states of all destinations that were ever set.
    async fn all(&self) -> Result<Vec<(DestinationName, DestinationStateKind)>, StatesError>;

    /// Holds a destination that is open, and only then. `probe_after` is when one delivery may try.
    async fn hold(
        &self,
        name: &DestinationName,
        reason: &str,
        probe_after: DateTime<Utc>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StatesError>;

    /// Disables a destination that is open or held; an operator's pause stays.
    async fn disable(
        &self,
        name: &DestinationName,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StatesError>;

    /// Opens a destination that is held, and only then.
    async fn resume_held(
        &self,
        name: &DestinationName,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StatesError>;
}

#[async_trait]
impl DestinationStates for Store {
    async fn revision(&self) -> Result<u64, StatesError> {
        Ok(self.states_revision().await?)
    }

    async fn all(&self) -> Result<Vec<(DestinationName, DestinationStateKind)>, StatesError> {
        let states = self.destination_states().await?.into_iter();
        // A name that is none of a destination's can't be one that is served.
        Ok(states
            .filter_map(|(name, state)| Some((DestinationName::parse(&name).ok()?, state.kind())))
            .collect())
    }

    async fn hold(
        &self,
        name: &DestinationName,
        reason: &str,
        probe_after: DateTime<Utc>,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StatesError> {
        self.hold_if_open(name.as_str(), reason, Some(probe_after), by, now).await?;
        Ok(())
    }

    async fn disable(
        &self,
        name: &DestinationName,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StatesError> {
        let disabled = DestinationState::Disabled { reason: reason.to_owned(), since: now };
        self.swap_destination_state(name.as_str(), &[Open, Held], &disabled, by, now).await?;
        Ok(())
    }

    async fn resume_held(
        &self,
        name: &DestinationName,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StatesError> {
        self.swap_destination_state(name.as_str(), &[Held], &DestinationState::Open, by, now).await?;
        Ok(())
    }
}

impl From<StoreError> for StatesError {
    fn from(error: StoreError) -> Self {
        Self(Box::new(error))
    }
}
