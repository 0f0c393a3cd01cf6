//! The records of one partition under one lease: prefetched, handed out, given back.
//!
//! A queue's records come over an AMQP channel of their own, so delivery tags ascend with the queue's order. Settled records
//! are acknowledged at once: all up to the first open one with a single multiple acknowledgement, those beyond it one by one;
//! an open record is never acknowledged by a later one. A record given back waits here and goes out again before later ones.
//! Only when the AMQP channel is closed, as a whole, do records go back to the queue: then to its head, and in order.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};

use lapin::Channel as Amqp;
use lapin::options::BasicAckOptions;
use tokio::sync::Notify;
use trunkline_broker::Lease;

use super::slot::Slot;
use crate::announcement::InHand;
use crate::codec::Stored;

/// An acknowledgement on its way to the socket.
pub(crate) type Acking = Pin<Box<dyn Future<Output = Result<(), lapin::Error>> + Send>>;

/// A partition under one lease.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) lease: Lease,
    slot: Weak<Slot>,
    /// Told when nothing is in the caller's hands any more.
    pub(crate) drained: Notify,
    state: Mutex<State>,
}

/// A record with its number, and how often it was handed out before.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) stored: Arc<Stored>,
    pub(crate) number: i64,
    pub(crate) handed: u32,
}

#[derive(Debug, Default)]
struct State {
    /// The AMQP channel that the records came over, while it may acknowledge.
    amqp: Option<Amqp>,
    /// Counts AMQP channels: tags mean something only on their own.
    session: u64,
    /// The caller knows of the lease.
    announced: bool,
    /// The lease is being given up: nothing is handed out any more.
    stopped: bool,
    /// Never handed out, in order.
    fresh: VecDeque<(u64, Item)>,
    /// Given back; all before the fresh ones.
    returned: BTreeMap<u64, Item>,
    in_hand: BTreeMap<u64, Item>,
}

impl Partition {
    pub(crate) fn new(lease: Lease, slot: &Arc<Slot>) -> Self {
        let slot = Arc::downgrade(slot);
        Self { lease, slot, drained: Notify::new(), state: Mutex::default() }
    }

    /// The caller has been told of the lease.
    pub(crate) fn announced(&self) {
        self.lock().announced = true;
        self.wake();
    }

    /// Records come over this AMQP channel from now on.
    pub(crate) fn begin(&self, amqp: Amqp) {
        let mut state = self.lock();
        state.session += 1;
        state.amqp = Some(amqp);
    }

    /// The AMQP channel is to be closed, or broke: nothing of it can be settled any more.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.session += 1;
        state.amqp = None;
        state.fresh.clear();
        state.returned.clear();
        state.in_hand.clear();
    }

    /// Hands nothing out any more.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
    }

    /// Nothing is in the caller's hands.
    pub(crate) fn is_drained(&self) -> bool {
        self.lock().in_hand.is_empty()
    }

    /// Records have come, in order.
    pub(crate) fn push(&self, records: impl IntoIterator<Item = (u64, Item)>) {
        self.lock().fresh.extend(records);
        self.wake();
    }

    /// Hands records out: what was given back first, at most so many, about so many bytes. Returns them with their tags, and
    /// the session they belong to.
    pub(crate) fn take(&self, mut records: usize, mut bytes: usize) -> (u64, Vec<(u64, Item)>) {
        let mut state = self.lock();
        let mut taken = Vec::new();
        if !state.announced || state.stopped {
            return (state.session, taken);
        }
        while records > 0 && bytes > 0 {
            let next = state.returned.pop_first().or_else(|| state.fresh.pop_front());
            let Some((tag, item)) = next else { break };
            records -= 1;
            bytes = bytes.saturating_sub(item.stored.size());
            state.in_hand.insert(tag, item.clone());
            taken.push((tag, item));
        }
        (state.session, taken)
    }

    /// Whether something waits to be handed out.
    pub(crate) fn has_more(&self) -> bool {
        let state = self.lock();
        !(state.stopped || state.returned.is_empty() && state.fresh.is_empty())
    }

    /// Settles records; those of an earlier session are passed over, since they are somebody else's now. The
    /// acknowledgements are in line when this returns, and on the wire when they have been waited for.
    pub(crate) fn settle(&self, session: u64, mut tags: Vec<u64>) -> Vec<Acking> {
        let mut state = self.lock();
        let Some(amqp) = state.amqp.clone().filter(|_| state.session == session) else { return Vec::new() };
        tags.retain(|tag| state.in_hand.remove(tag).is_some());
        let ackings = acknowledgements(tags, state.first_open())
            // Sent in this order under the lock: the broker refuses a multiple acknowledgement whose own tag is settled.
            .filter_map(|(tag, multiple)| send_ack(amqp.clone(), tag, multiple))
            .collect();
        self.tell_if_drained(&state);
        ackings
    }

    /// A receipt was dropped unsettled.
    pub(crate) fn give_back(&self, session: u64, tag: u64) {
        let mut state = self.lock();
        if state.session != session {
            return;
        }
        if let Some(mut item) = state.in_hand.remove(&tag) {
            item.handed = item.handed.saturating_add(1);
            state.returned.insert(tag, item);
        }
        self.tell_if_drained(&state);
        drop(state);
        self.wake();
    }

    /// All that the broker counts as delivered and not acknowledged.
    pub(crate) fn in_hand(&self) -> InHand {
        let state = self.lock();
        let records = state.fresh.len() + state.returned.len() + state.in_hand.len();
        let items = state.fresh.iter().map(|(_, item)| item);
        let items = items.chain(state.returned.values()).chain(state.in_hand.values());
        InHand { records: records as u64, first: items.map(|item| item.number).min() }
    }

    fn tell_if_drained(&self, state: &State) {
        if state.in_hand.is_empty() {
            self.drained.notify_one();
        }
    }

    fn wake(&self) {
        if let Some(slot) = self.slot.upgrade() {
            slot.inbox.ready(slot.index);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The first tag that is not settled.
    fn first_open(&self) -> Option<u64> {
        let fresh = self.fresh.front().map(|(tag, _)| *tag);
        let returned = self.returned.first_key_value().map(|(tag, _)| *tag);
        let in_hand = self.in_hand.first_key_value().map(|(tag, _)| *tag);
        fresh.into_iter().chain(returned).chain(in_hand).min()
    }
}

/// What to acknowledge for settled tags when `open` is the first that is not settled: tag, and whether it stands for all before.
fn acknowledgements(mut tags: Vec<u64>, open: Option<u64>) -> impl Iterator<Item = (u64, bool)> {
    tags.sort_unstable();
    let before = tags.partition_point(|tag| open.is_none_or(|open| *tag < open));
    let beyond = tags.split_off(before);
    let prefix = tags.last().map(|last| (*last, true));
    prefix.into_iter().chain(beyond.into_iter().map(|tag| (tag, false)))
}

fn send_ack(amqp: Amqp, tag: u64, multiple: bool) -> Option<Acking> {
    let ack = async move { amqp.basic_ack(tag, BasicAckOptions { multiple }).await };
    let mut acking: Acking = Box::pin(ack);
    // The first poll puts it in line.
    let sent = acking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    sent.is_pending().then_some(acking)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tags: &[u64], open: Option<u64>, expected: &[(u64, bool)]) {
        assert_eq!(acknowledgements(tags.to_vec(), open).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_open_record_is_never_acknowledged_by_a_later_one() {
        check(&[], Some(1), &[]);
        check(&[3, 1, 2], None, &[(3, true)]);
        check(&[1, 2], Some(3), &[(2, true)]);
        check(&[2, 3], Some(1), &[(2, false), (3, false)]);
        check(&[5, 1, 4, 2], Some(3), &[(2, true), (4, false), (5, false)]);
    }
}
