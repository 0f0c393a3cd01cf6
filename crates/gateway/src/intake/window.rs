//! Which events are under way in this gateway, so that equals wait for the first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::{Identity, Refused};

/// The answer that the first of equal events gets; `None` while it is under way.
type Shared = Option<Result<(), Refused>>;

/// The events under way.
#[derive(Default)]
pub(super) struct Window {
    under_way: Mutex<HashMap<Identity, watch::Receiver<Shared>>>,
}

/// What an event finds.
pub(super) enum Claim {
    /// It is the first: publish it, then answer.
    First(watch::Sender<Shared>),
    /// An equal one is under way: wait for its answer.
    Equal(watch::Receiver<Shared>),
}

impl Window {
    /// Claims an event.
    pub(super) fn claim(&self, identity: Identity) -> Claim {
        match self.lock().entry(identity) {
            // One that was given up without an answer (its task failed) is claimed anew.
            Entry::Occupied(mut entry) if entry.get().has_changed().is_err() => {
                let (sender, receiver) = watch::channel(None);
                entry.insert(receiver);
                Claim::First(sender)
            }
            Entry::Occupied(entry) => Claim::Equal(entry.get().clone()),
            Entry::Vacant(entry) => {
                let (sender, receiver) = watch::channel(None);
                entry.insert(receiver);
                Claim::First(sender)
            }
        }
    }

    /// Answers those that wait for an event and forgets it.
    pub(super) fn release(
        &self,
        identity: &Identity,
        sender: &watch::Sender<Shared>,
        answer: Result<(), Refused>,
    ) {
        self.lock().remove(identity);
        sender.send_replace(Some(answer));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Identity, watch::Receiver<Shared>>> {
        // The map is whole between any two statements under the lock, so a panic elsewhere leaves nothing to repair.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the first of equal events.
pub(super) async fn wait(mut receiver: watch::Receiver<Shared>) -> Result<(), Refused> {
    match receiver.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone().unwrap_or(Err(Refused::Unavailable)),
        // The first was given up without an answer.
        Err(_) => Err(Refused::Unavailable),
    }
}
