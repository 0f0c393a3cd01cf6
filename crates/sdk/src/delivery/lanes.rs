//! The order of one destination's deliveries: one lane per key, one delivery of a lane at a time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Atomically};

use trunkline_broker::{Headers, Key, Receipt};
use trunkline_core::Delivery;

use crate::config::Ordering;

/// A delivery with the right and the duty to settle its record.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) delivery: Delivery,
    pub(super) record: Record,
}

/// What is to be settled: a record's receipt, and what its consequences take over from it.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) receipt: Receipt,
    pub(super) key: Key,
    pub(super) headers: Headers,
    pub(super) partition: u16,
    pub(super) lease: LeaseFlag,
}

/// Whether the lease a record came through is lost: settling it is no use any more.
#[derive(Debug, Clone, Default)]
pub(super) struct LeaseFlag(Arc<AtomicBool>);

impl LeaseFlag {
    pub(super) fn lose(&self) {
        self.0.store(true, Atomically::Relaxed);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.load(Atomically::Relaxed)
    }
}

/// Deliveries that wait for their attempt. With [`Ordering::Key`] deliveries of one key leave in the order they came, one
/// at a time; keys take turns. With [`Ordering::None`] all leave in the order they came.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: HashMap<Key, VecDeque<Taken>>,
    /// Keys that have a delivery waiting and none under way, each once, in the order of their turns.
    ready: VecDeque<Key>,
    busy: HashSet<Key>,
    unordered: VecDeque<Taken>,
    waiting: usize,
}

impl Lanes {
    /// Adds a delivery behind those of its key.
    pub(super) fn push(&mut self, taken: Taken, ordering: Ordering) {
        self.waiting += 1;
        if ordering == Ordering::None {
            return self.unordered.push_back(taken);
        }
        let key = taken.record.key.clone();
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.push_back(taken);
        if lane.len() == 1 && !self.busy.contains(&key) {
            self.ready.push_back(key);
        }
    }

    /// Puts a delivery that left these lanes back where it was: before those of its key. Its key has none under way.
    pub(super) fn put_back(&mut self, taken: Taken, ordering: Ordering) {
        self.waiting += 1;
        if ordering == Ordering::None {
            return self.unordered.push_front(taken);
        }
        let key = taken.record.key.clone();
        let lane = self.lanes.entry(key.clone()).or_default();
        lane.push_front(taken);
        if lane.len() == 1 {
            self.ready.push_back(key);
        }
    }

    /// The next delivery whose key has none under way; its key has one from now on, until [`Lanes::done`]. A delivery
    /// of another key than `avoid` is preferred.
    pub(super) fn next(&mut self, avoid: Option<&Key>) -> Option<Taken> {
        if let Some(taken) = self.unordered.pop_front() {
            self.waiting -= 1;
            return Some(taken);
        }
        let preferred = self.ready.iter().position(|key| Some(key) != avoid).unwrap_or_default();
        let key = self.ready.remove(preferred)?;
        let taken = self.lanes.get_mut(&key)?.pop_front()?;
        self.waiting -= 1;
        self.busy.insert(key);
        Some(taken)
    }

    /// The delivery of `key` that was under way is not any more.
    pub(super) fn done(&mut self, key: &Key) {
        if !self.busy.remove(key) {
            return;
        }
        match self.lanes.get(key) {
            Some(lane) if !lane.is_empty() => self.ready.push_back(key.clone()),
            _ => {
                self.lanes.remove(key);
            }
        }
    }

    /// Drops the waiting deliveries of a partition: they go back to the engine. All partitions for `None`.
    pub(super) fn give_back(&mut self, partition: Option<u16>) {
        let stays = |taken: &Taken| partition.is_some_and(|partition| taken.record.partition != partition);
        self.unordered.retain(stays);
        for lane in self.lanes.values_mut() {
            lane.retain(stays);
        }
        let (lanes, busy) = (&mut self.lanes, &self.busy);
        lanes.retain(|key, lane| !lane.is_empty() || busy.contains(key));
        self.ready.retain(|key| lanes.contains_key(key));
        self.waiting = self.unordered.len() + lanes.values().map(VecDeque::len).sum::<usize>();
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether [`Lanes::next`] would give one.
    pub(super) fn has_next(&self) -> bool {
        !self.unordered.is_empty() || !self.ready.is_empty()
    }
}
