//! What an intake is told from outside.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use trunkline_broker::Intaken;

use crate::catalog::lock;

/// News for an intake, and which of its channels may have records.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) notify: Notify,
    news: Mutex<VecDeque<Intaken>>,
    ready: Mutex<BTreeSet<usize>>,
}

impl Inbox {
    pub(crate) fn tell(&self, news: Intaken) {
        lock(&self.news).push_back(news);
        self.notify.notify_one();
    }

    pub(crate) fn take_news(&self) -> Option<Intaken> {
        lock(&self.news).pop_front()
    }

    /// The channel in this slot may have records.
    pub(crate) fn ready(&self, slot: usize) {
        if lock(&self.ready).insert(slot) {
            self.notify.notify_one();
        }
    }

    pub(crate) fn take_ready(&self) -> BTreeSet<usize> {
        std::mem::take(&mut *lock(&self.ready))
    }
}

/// What an intake may have unsettled of one channel.
#[derive(Debug)]
pub(crate) struct Budget {
    records: AtomicUsize,
    bytes: AtomicUsize,
    max_records: usize,
    max_bytes: usize,
    /// Somebody looked for room and found none.
    wanted: AtomicBool,
    inbox: Arc<Inbox>,
    slot: usize,
}

/// A record's part of a [`Budget`], given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(max_records: usize, max_bytes: usize, inbox: Arc<Inbox>, slot: usize) -> Self {
        Self {
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_records,
            max_bytes,
            wanted: AtomicBool::new(false),
            inbox,
            slot,
        }
    }

    /// Records and bytes left. When there is none, the intake is woken as soon as there is.
    pub(crate) fn left(&self) -> Option<(usize, usize)> {
        let left = || {
            let records = self.max_records.saturating_sub(self.records.load(Ordering::SeqCst));
            let bytes = self.max_bytes.saturating_sub(self.bytes.load(Ordering::SeqCst));
            (records > 0 && bytes > 0).then_some((records, bytes))
        };
        left().or_else(|| {
            self.wanted.store(true, Ordering::SeqCst);
            left()
        })
    }

    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Share {
        self.records.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
        Share { budget: self.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.records.fetch_sub(1, Ordering::SeqCst);
        self.budget.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.budget.wanted.swap(false, Ordering::SeqCst) {
            self.budget.inbox.ready(self.budget.slot);
        }
    }
}
