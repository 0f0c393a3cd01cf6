//! The channels, as all threads share them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use trunkline_broker::{ChannelName, GroupName, Keep};

use crate::group::Group;
use crate::ranges::Ranges;
use crate::schema;

/// Locks a mutex. A thread that panicked while it held the lock leaves plain data behind, which stays usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All channels by name.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    channels: RwLock<HashMap<ChannelName, Arc<Channel>>>,
}

/// A channel's settings that may change while it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) keep: Keep,
    pub(crate) max_record: usize,
}

/// A channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: i64,
    pub(crate) name: ChannelName,
    pub(crate) lanes: Vec<Arc<Lane>>,
    settings: RwLock<Settings>,
    groups: RwLock<Vec<Arc<Group>>>,
    /// Tells observers that something was stored, or that the channel is gone.
    pub(crate) news: watch::Sender<()>,
    removed: AtomicBool,
}

/// A partition of a channel, with a table of its own.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: i64,
    pub(crate) channel: ChannelName,
    pub(crate) partition: u16,
    /// Sequences that were lost and accepted as lost.
    pub(crate) gaps: Ranges,
    pub(crate) insert: String,
    pub(crate) select: String,
    pub(crate) delete: String,
    /// The sequence after the last durable record.
    end: AtomicI64,
    /// The oldest sequence kept.
    first: AtomicI64,
    /// Delayed records that will join this partition: how many, by the second they were stored in.
    delayed: Mutex<BTreeMap<i64, u64>>,
    damage: OnceLock<String>,
}

impl Catalog {
    pub(crate) fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Channel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn insert(&self, channel: Arc<Channel>) {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(channel.name.clone(), channel);
    }

    pub(crate) fn remove(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).remove(name)
    }
}

impl Channel {
    pub(crate) fn new(
        id: i64,
        name: ChannelName,
        settings: Settings,
        lanes: Vec<Arc<Lane>>,
        groups: Vec<Arc<Group>>,
    ) -> Self {
        Self {
            id,
            name,
            lanes,
            settings: RwLock::new(settings),
            groups: RwLock::new(groups),
            news: watch::Sender::new(()),
            removed: AtomicBool::new(false),
        }
    }

    pub(crate) fn partitions(&self) -> u16 {
        u16::try_from(self.lanes.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn settings(&self) -> Settings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn max_record(&self) -> usize {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).max_record
    }

    pub(crate) fn set_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    pub(crate) fn groups(&self) -> Vec<Arc<Group>> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn group(&self, name: &GroupName) -> Option<Arc<Group>> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.iter().find(|group| group.name == *name).cloned()
    }

    pub(crate) fn add_group(&self, group: Arc<Group>) {
        self.groups.write().unwrap_or_else(PoisonError::into_inner).push(group);
    }

    /// Wakes whoever waits for records of a partition.
    pub(crate) fn wake(&self, partition: u16) {
        for group in self.groups.read().unwrap_or_else(PoisonError::into_inner).iter() {
            group.wake(partition);
        }
        self.news.send_replace(());
    }

    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    pub(crate) fn set_removed(&self) {
        self.removed.store(true, Ordering::Release);
        self.news.send_replace(());
    }
}

impl Lane {
    pub(crate) fn new(id: i64, channel: ChannelName, partition: u16, ends: (i64, i64), gaps: Ranges) -> Self {
        let table = schema::lane_table(channel.as_str(), partition);
        Self {
            id,
            channel,
            partition,
            gaps,
            insert: format!("INSERT INTO \"{table}\" VALUES (?1, ?2, ?3, ?4, ?5, ?6)"),
            select: format!(
                "SELECT sequence, stored, \"key\", headers, value, crc FROM \"{table}\" \
                 WHERE sequence BETWEEN ?1 AND ?2 ORDER BY sequence"
            ),
            delete: format!("DELETE FROM \"{table}\" WHERE sequence BETWEEN ?1 AND ?2"),
            end: AtomicI64::new(ends.1),
            first: AtomicI64::new(ends.0),
            delayed: Mutex::default(),
            damage: OnceLock::new(),
        }
    }

    /// The sequence after the last durable record.
    pub(crate) fn end(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn set_end(&self, end: i64) {
        self.end.store(end, Ordering::Release);
    }

    /// The oldest sequence kept.
    pub(crate) fn first(&self) -> i64 {
        self.first.load(Ordering::Acquire)
    }

    pub(crate) fn set_first(&self, first: i64) {
        self.first.store(first, Ordering::Release);
    }

    /// A delayed record of this lane was stored at this time.
    pub(crate) fn delayed_added(&self, stored: i64) {
        *lock(&self.delayed).entry(stored / 1000).or_default() += 1;
    }

    /// It has joined the lane.
    pub(crate) fn delayed_joined(&self, stored: i64) {
        let mut delayed = lock(&self.delayed);
        if let Some(count) = delayed.get_mut(&(stored / 1000)) {
            *count -= 1;
            if *count == 0 {
                delayed.remove(&(stored / 1000));
            }
        }
    }

    /// How many delayed records wait, and when the oldest was stored (to the second, in milliseconds).
    pub(crate) fn delayed(&self) -> (u64, Option<i64>) {
        let delayed = lock(&self.delayed);
        (delayed.values().sum(), delayed.keys().next().map(|second| second * 1000))
    }

    /// What was found wrong with it; it is not read any more.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Notes what is wrong with it; [`crate::core::Core::note_damage`] also tells those who consume it.
    pub(crate) fn set_damage(&self, detail: &str) {
        if self.damage.set(detail.to_owned()).is_ok() {
            tracing::error!(channel = %self.channel, partition = self.partition, detail, "stored records are damaged");
        }
    }
}

/// `keep_ms` and `keep_bytes`; both absent means until settled.
pub(crate) fn keep_columns(keep: &Keep) -> (Option<i64>, Option<i64>) {
    match keep {
        Keep::UntilSettled => (None, None),
        Keep::For { age, bytes } => (
            Some(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)),
            bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        ),
    }
}

/// The reverse of [`keep_columns`].
pub(crate) fn keep_from(age: Option<i64>, bytes: Option<i64>) -> Keep {
    match age {
        None => Keep::UntilSettled,
        Some(age) => {
            Keep::For { age: Duration::from_millis(age.unsigned_abs()), bytes: bytes.map(i64::unsigned_abs) }
        }
    }
}
