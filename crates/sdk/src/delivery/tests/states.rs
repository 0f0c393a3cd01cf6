//! States of destinations in memory, with a store that may be gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use trunkline_core::DestinationName;
use trunkline_store::DestinationStateKind::{self, Disabled, Held, Open};

use crate::delivery::{DestinationStates, StatesError};

#[derive(Clone, Default)]
pub(super) struct States(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    states: BTreeMap<DestinationName, DestinationStateKind>,
    revision: u64,
    gone: bool,
    slowness: Duration,
}

impl States {
    pub(super) fn get(&self, name: &DestinationName) -> DestinationStateKind {
        self.0.lock().unwrap().states.get(name).copied().unwrap_or(Open)
    }

    /// As an operator does.
    pub(super) fn set(&self, name: &DestinationName, state: DestinationStateKind) {
        let mut inner = self.0.lock().unwrap();
        inner.states.insert(name.clone(), state);
        inner.revision += 1;
    }

    pub(super) fn gone(&self, gone: bool) {
        self.0.lock().unwrap().gone = gone;
    }

    /// From now on the states are so old when they arrive.
    pub(super) fn slow(&self, slowness: Duration) {
        self.0.lock().unwrap().slowness = slowness;
    }

    fn swap(
        &self,
        name: &DestinationName,
        permitted: &[DestinationStateKind],
        state: DestinationStateKind,
    ) -> Result<(), StatesError> {
        self.ask()?;
        if permitted.contains(&self.get(name)) {
            self.set(name, state);
        }
        Ok(())
    }

    fn ask(&self) -> Result<(), StatesError> {
        if self.0.lock().unwrap().gone { Err(StatesError("the store is gone".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl DestinationStates for States {
    async fn revision(&self) -> Result<u64, StatesError> {
        self.ask()?;
        Ok(self.0.lock().unwrap().revision)
    }

    async fn all(&self) -> Result<Vec<(DestinationName, DestinationStateKind)>, StatesError> {
        self.ask()?;
        let (states, slowness) = {
            let inner = self.0.lock().unwrap();
            (inner.states.clone(), inner.slowness)
        };
        tokio::time::sleep(slowness).await;
        Ok(states.into_iter().collect())
    }

    async fn hold(
        &self,
        name: &DestinationName,
        _reason: &str,
        _probe_after: DateTime<Utc>,
        _by: &str,
        _now: DateTime<Utc>,
    ) -> Result<(), StatesError> {
        self.swap(name, &[Open], Held)
    }

    async fn disable(
        &self,
        name: &DestinationName,
        _reason: &str,
        _by: &str,
        _now: DateTime<Utc>,
    ) -> Result<(), StatesError> {
        self.swap(name, &[Open, Held], Disabled)
    }

    async fn resume_held(
        &self,
        name: &DestinationName,
        _by: &str,
        _now: DateTime<Utc>,
    ) -> Result<(), StatesError> {
        self.swap(name, &[Held], Open)
    }
}
