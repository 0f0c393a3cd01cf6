//! What a consumer's thread has for its intake.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::Thread;
use std::time::Duration;

use tokio::sync::Notify;
use trunkline_broker::{ChannelName, ConsumeError, Intaken};

use crate::asker::lock;
use crate::lease::{Part, Slot};

/// News, leases and channels of one intake.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    notify: Notify,
    /// News of leases: at most a few for each partition.
    news: Mutex<VecDeque<Result<Intaken, ConsumeError>>>,
    parts: Mutex<Vec<Arc<Part>>>,
    /// Changes with `parts`.
    version: AtomicU64,
    slots: Mutex<HashMap<ChannelName, Arc<Slot>>>,
    /// The thread that fetches.
    thread: OnceLock<Thread>,
    /// It waits for room.
    crowded: AtomicBool,
    /// The channels are others than it has subscribed to.
    pub(crate) resubscribe: AtomicBool,
    /// The intake was dropped.
    pub(crate) leaving: AtomicBool,
    /// The process is to look as if it had died.
    pub(crate) abandoned: AtomicBool,
    /// The thread has ended.
    pub(crate) ended: AtomicBool,
}

impl Inbox {
    pub(crate) fn tell(&self, news: Result<Intaken, ConsumeError>) {
        lock(&self.news).push_back(news);
        self.wake();
    }

    pub(crate) fn wake(&self) {
        self.notify.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Called once by the thread that fetches.
    pub(crate) fn begin(&self) {
        self.thread.get_or_init(std::thread::current);
    }

    /// The thread waits until room is made, or for so long.
    pub(crate) fn await_room(&self, most: Duration) {
        self.crowded.store(true, Ordering::Release);
        std::thread::park_timeout(most);
    }

    /// Something was handed out.
    pub(crate) fn make_room(&self) {
        if self.crowded.swap(false, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    pub(crate) fn take_news(&self) -> Option<Result<Intaken, ConsumeError>> {
        lock(&self.news).pop_front()
    }

    /// The leases, if they are others than those of `version`, which is brought up to date.
    pub(crate) fn parts_since(&self, version: &mut u64) -> Option<Vec<Arc<Part>>> {
        if *version == self.version.load(Ordering::Acquire) {
            return None;
        }
        let parts = lock(&self.parts);
        *version = self.version.load(Ordering::Acquire);
        Some(parts.clone())
    }

    pub(crate) fn parts(&self) -> Vec<Arc<Part>> {
        lock(&self.parts).clone()
    }

    pub(crate) fn add_part(&self, part: Arc<Part>) {
        let mut parts = lock(&self.parts);
        parts.push(part);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn remove_part(&self, part: &Arc<Part>) {
        let mut parts = lock(&self.parts);
        parts.retain(|other| !Arc::ptr_eq(other, part));
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn slot(&self, channel: &ChannelName) -> Option<Arc<Slot>> {
        lock(&self.slots).get(channel).cloned()
    }

    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        lock(&self.slots).values().cloned().collect()
    }

    pub(crate) fn add_slot(&self, slot: Arc<Slot>) {
        lock(&self.slots).insert(slot.channel.clone(), slot);
    }

    pub(crate) fn remove_slot(&self, channel: &ChannelName) -> Option<Arc<Slot>> {
        lock(&self.slots).remove(channel)
    }
}
