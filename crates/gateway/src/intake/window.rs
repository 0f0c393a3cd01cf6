//! Which events are under way in this gateway, so that equals wait for the first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;
use trunkline_sdk::Event;

use super::Refused;

/// What an event came to.
pub(super) type Outcome = Result<(), Refused>;

/// The events under way, each with those who wait for its outcome. Cloning shares it.
#[derive(Clone, Default)]
pub(super) struct Window {
    under_way: Arc<Mutex<HashMap<Identity, Vec<oneshot::Sender<Outcome>>>>>,
}

/// What an event finds.
pub(super) enum Claim {
    /// It is the first: publish it, then answer.
    First(Place),
    /// An equal one is under way; its outcome comes, or an error when it was given up without one.
    Equal(oneshot::Receiver<Outcome>),
}

/// The place of the first of equal events. Dropped without an answer it is given up: the next equal one claims it anew.
pub(super) struct Place {
    window: Window,
    /// Taken when the place is left.
    identity: Option<Identity>,
}

/// An event as one of those with its source and id.
struct Identity(Event);

impl Window {
    /// Claims the place of an event.
    pub(super) fn claim(&self, event: &Event) -> Claim {
        match self.lock().entry(Identity(event.clone())) {
            Entry::Occupied(mut waiting) => {
                let (sender, receiver) = oneshot::channel();
                waiting.get_mut().push(sender);
                Claim::Equal(receiver)
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Vec::new());
                Claim::First(Place { window: self.clone(), identity: Some(Identity(event.clone())) })
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Identity, Vec<oneshot::Sender<Outcome>>>> {
        // The map is whole between any two statements under the lock, so a panic elsewhere leaves nothing to repair.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Forgets the event and answers those who wait for it.
    pub(super) fn answer(mut self, outcome: &Outcome) {
        for waiting in self.leave() {
            // A batch that failed meanwhile does not wait any more.
            drop(waiting.send(outcome.clone()));
        }
    }

    fn leave(&mut self) -> Vec<oneshot::Sender<Outcome>> {
        let identity = self.identity.take();
        identity.and_then(|identity| self.window.lock().remove(&identity)).unwrap_or_default()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.source().hash(state);
        self.0.id().hash(state);
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.0.source() == other.0.source() && self.0.id() == other.0.id()
    }
}

impl Eq for Identity {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn event(id: &str) -> Event {
        Event::builder(id, "shop", "order").build().unwrap()
    }

    #[test]
    fn equals_share_the_outcome_of_the_first() {
        let window = Window::default();
        let Claim::First(place) = window.claim(&event("1")) else { panic!("the first is taken") };
        let Claim::Equal(mut equal) = window.claim(&event("1")) else { panic!("two firsts") };
        assert!(matches!(window.claim(&event("2")), Claim::First(_)), "another id is another event");
        place.answer(&Err(Refused::Full));
        assert_eq!(equal.try_recv().unwrap(), Err(Refused::Full));
        assert!(matches!(window.claim(&event("1")), Claim::First(_)), "it is forgotten");
    }

    #[test]
    fn a_place_given_up_is_claimed_anew_and_taken_from_nobody() {
        let window = Window::default();
        let Claim::First(place) = window.claim(&event("1")) else { panic!("the first is taken") };
        let Claim::Equal(mut equal) = window.claim(&event("1")) else { panic!("two firsts") };
        drop(place);
        assert!(equal.try_recv().is_err());
        let Claim::First(again) = window.claim(&event("1")) else { panic!("still taken") };
        let Claim::Equal(mut equal) = window.claim(&event("1")) else { panic!("two firsts") };
        again.answer(&Ok(()));
        assert_eq!(equal.try_recv().unwrap(), Ok(()));
    }
}
