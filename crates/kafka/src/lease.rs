//! A leased partition, shared by the thread that fetches, the intake that hands out and the receipts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use trunkline_broker::{ChannelName, Lease, Start};

use crate::asker::lock;
use crate::inbox::Inbox;
use crate::window::{Fetched, Taken, Window};

/// A channel of an intake; it outlives its leases.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) channel: ChannelName,
    pub(crate) topic: Arc<str>,
    pub(crate) incarnation: String,
    pub(crate) held: AtomicBool,
    /// Taken out of the intake.
    pub(crate) removed: AtomicBool,
    /// In somebody's hands.
    pub(crate) out: Load,
    /// Fetched and not handed out.
    pub(crate) waiting: Load,
    /// Fetched, ever.
    pub(crate) seen: Load,
    pub(crate) inbox: Weak<Inbox>,
}

impl Slot {
    /// Something may be handed out that could not be before.
    pub(crate) fn wake(&self) {
        if let Some(inbox) = self.inbox.upgrade() {
            inbox.wake();
        }
    }
}

/// Records and bytes.
#[derive(Debug, Default)]
pub(crate) struct Load {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Load {
    pub(crate) fn add(&self, records: usize, bytes: usize) {
        self.records.fetch_add(records, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn subtract(&self, records: usize, bytes: usize) {
        self.records.fetch_sub(records, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn exceeds(&self, records: usize, bytes: usize) -> bool {
        self.records.load(Ordering::Acquire) >= records || self.bytes.load(Ordering::Acquire) >= bytes
    }

    pub(crate) fn records(&self) -> usize {
        self.records.load(Ordering::Acquire)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }
}

/// What may still be done under a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything.
    Held,
    /// Only settling and giving back.
    Leaving,
    /// Nothing: another consumer's, or soon.
    Lost,
}

/// A leased partition.
pub(crate) struct Part {
    pub(crate) slot: Arc<Slot>,
    pub(crate) partition: u16,
    pub(crate) epoch: u64,
    state: Mutex<State>,
    /// Maybe something is to be handed out.
    ready: AtomicBool,
    /// The last offset known to be committed.
    pub(crate) committed: AtomicI64,
    /// What is before it needs no commit: the lease began there, and would again.
    begun: AtomicI64,
}

struct State {
    phase: Phase,
    window: Window,
}

impl std::fmt::Debug for Part {
    /// Without its records, which are others' business.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (channel, partition, epoch) = (&self.slot.channel, self.partition, self.epoch);
        write!(f, "Part({channel}/{partition}, epoch {epoch})")
    }
}

impl Part {
    /// A lease that begins at `position`; `committed` is what the group has committed, if anything.
    pub(crate) fn new(
        slot: Arc<Slot>,
        partition: u16,
        epoch: u64,
        position: i64,
        committed: Option<i64>,
        from: Start,
    ) -> Self {
        Self {
            slot,
            partition,
            epoch,
            state: Mutex::new(State { phase: Phase::Held, window: Window::new(position) }),
            ready: AtomicBool::new(false),
            committed: AtomicI64::new(committed.unwrap_or(-1)),
            // The newest is another place the next time, so it is committed at once.
            begun: AtomicI64::new(if committed.is_none() && from == Start::Newest { -1 } else { position }),
        }
    }

    pub(crate) fn lease(&self) -> Lease {
        Lease { channel: self.slot.channel.clone(), partition: self.partition, epoch: self.epoch }
    }

    /// Records were fetched.
    pub(crate) fn push(&self, fetched: impl Iterator<Item = Fetched>) {
        let (mut records, mut bytes) = (0, 0);
        let mut state = lock(&self.state);
        if state.phase != Phase::Held {
            return;
        }
        for record in fetched {
            let len = record.raw.len();
            if state.window.push(record) {
                records += 1;
                bytes += len;
            }
        }
        if records > 0 {
            self.slot.waiting.add(records, bytes);
            self.slot.seen.add(records, bytes);
            self.ready.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Hands out until `take` says no. Calls `give` for each.
    pub(crate) fn hand_out(&self, mut fits: impl FnMut(usize) -> bool, mut give: impl FnMut(Taken)) {
        let mut state = lock(&self.state);
        if state.phase != Phase::Held {
            self.ready.store(false, Ordering::Release);
            return;
        }
        let (mut records, mut bytes) = (0, 0);
        while let Some(taken) = state.window.take(&mut fits) {
            records += 1;
            bytes += taken.raw.len();
            // Counted one by one, because `fits` looks at it.
            self.slot.out.add(1, taken.raw.len());
            give(taken);
        }
        self.slot.waiting.subtract(records, bytes);
        self.ready.store(state.window.is_ready(), Ordering::Release);
    }

    /// Settles records in somebody's hands; of a lost lease, none.
    pub(crate) fn settle(&self, offsets: impl Iterator<Item = i64>) {
        let mut state = lock(&self.state);
        if state.phase != Phase::Lost {
            offsets.for_each(|offset| state.window.settle(offset));
        }
    }

    /// A receipt was dropped.
    pub(crate) fn give_back(&self, offset: i64, bytes: usize) {
        self.slot.out.subtract(1, bytes);
        let mut state = lock(&self.state);
        if state.phase == Phase::Lost || !state.window.give_back(offset) {
            return;
        }
        self.slot.waiting.add(1, bytes);
        if state.phase == Phase::Held {
            self.ready.store(true, Ordering::Release);
            drop(state);
            self.slot.wake();
        }
    }

    /// Ends handing out. Returns whether nothing is in somebody's hands.
    pub(crate) fn leave(&self) -> bool {
        let mut state = lock(&self.state);
        if state.phase == Phase::Held {
            state.phase = Phase::Leaving;
        }
        state.window.out() == 0
    }

    /// Whether nothing is in somebody's hands.
    pub(crate) fn is_drained(&self) -> bool {
        lock(&self.state).window.out() == 0
    }

    /// Ends settling too. What waited is forgotten.
    pub(crate) fn lose(&self) {
        let mut state = lock(&self.state);
        state.phase = Phase::Lost;
        let (records, bytes) = state.window.clear();
        self.slot.waiting.subtract(records, bytes);
        self.ready.store(false, Ordering::Release);
    }

    /// All before it is settled.
    pub(crate) fn position(&self) -> i64 {
        lock(&self.state).window.position()
    }

    /// The offset after the last one fetched.
    pub(crate) fn fetched(&self) -> i64 {
        lock(&self.state).window.fetched()
    }

    /// The settled prefix's end, if it has yet to be committed.
    pub(crate) fn uncommitted(&self) -> Option<i64> {
        let known = self.committed.load(Ordering::Acquire).max(self.begun.load(Ordering::Acquire));
        Some(self.position()).filter(|position| *position > known)
    }

    /// The last offset known to be committed.
    pub(crate) fn committed(&self) -> i64 {
        self.committed.load(Ordering::Acquire)
    }

    /// Whether the group has no place yet and nothing was fetched.
    pub(crate) fn is_untouched(&self) -> bool {
        self.committed.load(Ordering::Acquire) < 0 && self.fetched() == self.begun.load(Ordering::Acquire)
    }

    /// The log began anew: so does this lease.
    pub(crate) fn restart(&self, position: i64) {
        let mut state = lock(&self.state);
        let (records, bytes) = state.window.clear();
        self.slot.waiting.subtract(records, bytes);
        state.window.restart(position);
        self.committed.store(-1, Ordering::Release);
        self.begun.store(position, Ordering::Release);
    }

    /// Where the settled prefix would end with these settled as well.
    pub(crate) fn position_after(&self, offsets: &BTreeSet<i64>) -> i64 {
        lock(&self.state).window.position_after(offsets)
    }

    /// Whether these may be settled, and are next.
    pub(crate) fn standing(&self, offsets: &BTreeSet<i64>) -> Standing {
        let state = lock(&self.state);
        let last = offsets.last().copied().unwrap_or(i64::MIN);
        match state.phase {
            Phase::Lost => Standing::Lost,
            _ if state.window.is_preceded_by_returned(last) => Standing::Behind,
            _ => Standing::Next,
        }
    }
}

/// How records in somebody's hands stand in their partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing that stands before them comes again.
    Next,
    /// A record before them was given back, and comes again.
    Behind,
    /// The lease is another's.
    Lost,
}
