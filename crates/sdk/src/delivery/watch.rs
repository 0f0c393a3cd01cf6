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
    /// The states of all destinations that are not open, as they stood once the writes asked for up to `as_of` were
    /// done. What was asked for later they can't know.
    States { states: BTreeMap<DestinationName, Standing>, as_of: u64 },
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
    asked: Mutex<Asked>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Asked {
    /// How many writes were ever asked for.
    count: u64,
    /// The number of the last one of each destination.
    last: BTreeMap<DestinationName, u64>,
    /// Those that are not done, with their numbers.
    pending: BTreeMap<DestinationName, (u64, Write)>,
}

impl Writes {
    /// Asks for a state to be written; replaces what was asked before.
    pub(super) fn put(&self, name: DestinationName, write: Write) {
        let mut asked = self.lock();
        asked.count += 1;
        let number = asked.count;
        asked.last.insert(name.clone(), number);
        asked.pending.insert(name, (number, write));
        drop(asked);
        self.0.notify.notify_one();
    }

    /// Whether a write of the destination's state was asked for after the one with this number.
    pub(super) fn asked_after(&self, name: &DestinationName, number: u64) -> bool {
        self.lock().last.get(name).is_some_and(|last| *last > number)
    }

    /// The number of the last one asked for, and all that are not done.
    fn pending(&self) -> (u64, BTreeMap<DestinationName, (u64, Write)>) {
        let asked = self.lock();
        (asked.count, asked.pending.clone())
    }

    /// The write is done; a later one of the same destination is still to do.
    fn done(&self, name: &DestinationName, number: u64) {
        let mut asked = self.lock();
        if asked.pending.get(name).is_some_and(|(pending, _)| *pending == number) {
            asked.pending.remove(name);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
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
        let (as_of, pending) = self.writes.pending();
        for (name, (number, write)) in pending {
            self.write(&name, &write).await?;
            self.writes.done(&name, number);
            // What was read while this was being asked for was not taken over, so it is told again.
            *revision = None;
        }
        let current = self.states.revision().await?;
        if *revision == Some(current) {
            return Ok(());
        }
        let states = self.states.all().await?.into_iter().collect();
        if self.notices.send(Notice::States { states, as_of }).await.is_ok() {
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
