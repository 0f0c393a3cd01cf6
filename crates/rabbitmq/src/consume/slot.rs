//! One channel of an intake.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::inbox::Inbox;
use super::partition::Partition;
use crate::catalog::Channel;

/// A channel that an intake consumes, with the leases it has of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) channel: Arc<Channel>,
    pub(crate) inbox: Arc<Inbox>,
    /// The channel's number within the intake.
    pub(crate) index: usize,
    held: watch::Sender<bool>,
    /// The intake is gone, or consumes this channel no more: it is told nothing.
    left: AtomicBool,
    partitions: Mutex<Vec<Arc<Partition>>>,
    /// Bytes in the caller's hands, and how many there may be.
    bytes: AtomicUsize,
    max_bytes: usize,
    /// Somebody looked for room and found none.
    wanted: AtomicBool,
}

/// A record's bytes in the caller's hands, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    slot: Arc<Slot>,
    bytes: usize,
}

impl Slot {
    pub(crate) fn new(channel: Arc<Channel>, inbox: Arc<Inbox>, index: usize, max_bytes: usize) -> Self {
        Self {
            channel,
            inbox,
            index,
            held: watch::Sender::new(false),
            left: AtomicBool::new(false),
            partitions: Mutex::default(),
            bytes: AtomicUsize::new(0),
            max_bytes,
            wanted: AtomicBool::new(false),
        }
    }

    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
        if !held {
            self.inbox.ready(self.index);
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    pub(crate) fn held(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left.load(Ordering::SeqCst)
    }

    pub(crate) fn attach(&self, partition: Arc<Partition>) {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).push(partition);
    }

    pub(crate) fn detach(&self, partition: &Arc<Partition>) {
        let mut partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.retain(|other| !Arc::ptr_eq(other, partition));
    }

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes that may still be handed out. When there are none, the intake is woken as soon as there are.
    pub(crate) fn room(&self) -> Option<usize> {
        let room = || {
            Some(self.max_bytes.saturating_sub(self.bytes.load(Ordering::SeqCst))).filter(|left| *left > 0)
        };
        room().or_else(|| {
            self.wanted.store(true, Ordering::SeqCst);
            room()
        })
    }

    pub(crate) fn share(self: &Arc<Self>, bytes: usize) -> Share {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Share { slot: self.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.slot.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.slot.wanted.swap(false, Ordering::SeqCst) {
            self.slot.inbox.ready(self.slot.index);
        }
    }
}
