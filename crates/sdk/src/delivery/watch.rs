//! Watching what changes from outside: the shared states of destinations and their secrets; and writing states back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use trunkline_core::DestinationName;
use trunkline_store::DestinationStateKind as Standing;

use super::alarm::Alarm;
use super::clock::Clock;
use super::measure;
use super::states::{DestinationStates, StatesError};
use crate::secrets::Secrets;

/// How often states and secrets are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// What changed outside.
#[derive(Debug)]
pub(super) enum Notice {
    /// The states of all destinations that are not open; those in `pending` are about to be written anew.
    States { states: BTreeMap<DestinationName, Standing>, pending: Vec<DestinationName> },
    /// A secret that this destination's adapter reads has another value.
    SecretChanged(DestinationName),
}

/// A state to write.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Hold { reason: String, probe_every: Duration },
    Disable { reason: String },
    Resume,
}

/// States to write, the latest of each destination.
#[derive(Debug, Clone, Default)]
pub(super) struct Writes(Arc<WritesInner>);

#[derive(Debug, Default)]
struct WritesInner {
    pending: Mutex<BTreeMap<DestinationName, Write>>,
    notify: Notify,
}

impl Writes {
    /// Asks for a state to be written; replaces what was asked before.
    pub(super) fn put(&self, name: DestinationName, write: Write) {
        self.lock().insert(name, write);
        self.0.notify.notify_one();
    }

    fn pending(&self) -> BTreeMap<DestinationName, Write> {
        self.lock().clone()
    }

    fn names(&self) -> Vec<DestinationName> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<DestinationName, Write>> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Secrets by the destination whose adapter reads them.
pub(super) type SecretsByDestination = Vec<(DestinationName, Secrets)>;

/// Watches until the pump is gone.
pub(super) struct Watcher {
    pub(super) states: Arc<dyn DestinationStates>,
    pub(super) instance: String,
    pub(super) clock: Clock,
    pub(super) writes: Writes,
    pub(super) secrets: watch::Receiver<SecretsByDestination>,
    pub(super) notices: mpsc::Sender<Notice>,
    pub(super) alarm: Alarm,
}

impl Watcher {
    /// Runs until nobody listens to its notices.
    pub(super) async fn run(self) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut revision = None;
        let mut ringing = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.writes.0.notify.notified() => {}
                () = self.notices.closed() => return,
            }
            match self.exchange(&mut revision).await {
                Ok(()) => ringing = None,
                // While it can't be had, deliveries go on with the states last known.
                Err(error) => {
                    measure::store_failure();
                    ringing.get_or_insert_with(|| self.alarm.ring(&error));
                }
            }
            self.look_at_secrets().await;
        }
    }

    /// Writes what is pending, then reads the states if they changed.
    async fn exchange(&self, revision: &mut Option<u64>) -> Result<(), StatesError> {
        for (name, write) in self.writes.pending() {
            self.write(&name, &write).await?;
            let mut pending = self.writes.lock();
            // Unless the pump asked for something else in the meantime.
            if pending.get(&name).is_some_and(|asked| asked.is_same(&write)) {
                pending.remove(&name);
            }
        }
        let current = self.states.revision().await?;
        if *revision == Some(current) {
            return Ok(());
        }
        let states = self.states.all().await?.into_iter().collect();
        let pending = self.writes.names();
        if self.notices.send(Notice::States { states, pending }).await.is_ok() {
            *revision = Some(current);
        }
        Ok(())
    }

    async fn write(&self, name: &DestinationName, write: &Write) -> Result<(), StatesError> {
        let now = self.clock.now();
        match write {
            Write::Hold { reason, probe_every } => {
                self.states.hold(name, reason, now + *probe_every, &self.instance, now).await
            }
            Write::Disable { reason } => self.states.disable(name, reason, &self.instance, now).await,
            Write::Resume => self.states.resume_held(name, &self.instance, now).await,
        }
    }

    async fn look_at_secrets(&self) {
        let secrets = self.secrets.borrow().clone();
        // Files may be on a disk that is slow.
        let look = move || {
            let changed = secrets.into_iter().filter(|(_name, secrets)| secrets.changed());
            changed.map(|(name, _secrets)| name).collect::<Vec<_>>()
        };
        for name in tokio::task::spawn_blocking(look).await.unwrap_or_default() {
            if self.notices.send(Notice::SecretChanged(name)).await.is_err() {
                return;
            }
        }
    }
}

impl Write {
    fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}
