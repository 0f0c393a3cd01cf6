//! The channels that this process knows: those it ensured, and those it looked up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lapin::types::ShortString;
use trunkline_broker::{ChannelName, GroupName};

use crate::delay::LEVELS;
use crate::ledger::{Entry, GroupEntry, Ledger};
use crate::names::Names;

/// A channel, ready to be published to.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    pub(crate) partitions: u16,
    pub(crate) max_record: usize,
    pub(crate) groups: Vec<Arc<Group>>,
    /// The exchange for those who only look.
    pub(crate) exchange: ShortString,
    /// Routing keys by partition.
    pub(crate) keys: Vec<ShortString>,
}

/// A group on a channel.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: GroupName,
    pub(crate) exchange: ShortString,
    /// Exchanges of the delay levels, lowest first.
    pub(crate) levels: Vec<ShortString>,
    /// How many levels are known to be there.
    pub(crate) ready_levels: AtomicU8,
}

impl Channel {
    pub(crate) fn new(names: &Names, entry: &Entry) -> Self {
        let name = &entry.name;
        let group = |group: &GroupEntry| {
            let levels = (0..LEVELS).map(|level| names.level(name, &group.name, level)).collect();
            Arc::new(Group {
                name: group.name.clone(),
                exchange: names.group(name, &group.name),
                levels,
                ready_levels: AtomicU8::new(group.levels),
            })
        };
        Self {
            name: name.clone(),
            partitions: entry.partitions,
            max_record: entry.max_record,
            groups: entry.groups.iter().map(group).collect(),
            exchange: names.channel(name),
            keys: (0..entry.partitions).map(|partition| partition.to_string().into()).collect(),
        }
    }

    pub(crate) fn group(&self, name: &GroupName) -> Option<&Arc<Group>> {
        self.groups.iter().find(|group| group.name == *name)
    }

    pub(crate) fn entry(&self) -> Entry {
        let group = |group: &Arc<Group>| GroupEntry {
            name: group.name.clone(),
            levels: group.ready_levels.load(Ordering::Relaxed),
        };
        Entry {
            name: self.name.clone(),
            partitions: self.partitions,
            max_record: self.max_record,
            groups: self.groups.iter().map(group).collect(),
        }
    }
}

impl Group {
    /// Queues and exchanges of the delay levels that are there; both have the same names.
    pub(crate) fn known_levels(&self) -> &[ShortString] {
        let count = usize::from(self.ready_levels.load(Ordering::Relaxed));
        &self.levels[..count.min(self.levels.len())]
    }
}

/// Known channels by name.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    channels: RwLock<HashMap<ChannelName, Arc<Channel>>>,
}

impl Catalog {
    pub(crate) fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.read().get(name).cloned()
    }

    /// Adds what an entry says to what is known.
    pub(crate) fn put(&self, names: &Names, entry: &Entry) -> Arc<Channel> {
        let mut channels = self.write();
        let mut joined = Ledger::default();
        let known = channels.get(&entry.name);
        known.into_iter().for_each(|known| joined.join(known.entry()));
        joined.join(entry.clone());
        let joined = joined.get(&entry.name).unwrap_or(entry);
        if let Some(known) = known
            && known.entry() == *joined
        {
            return known.clone();
        }
        let channel = Arc::new(Channel::new(names, joined));
        channels.insert(entry.name.clone(), channel.clone());
        channel
    }

    pub(crate) fn forget(&self, name: &ChannelName) {
        self.write().remove(name);
    }

    /// Takes over what the ledger says of the channels known here, and forgets those it does not know.
    pub(crate) fn follow(&self, ledger: &Ledger, names: &Names) {
        let known: Vec<ChannelName> = self.read().keys().cloned().collect();
        for name in known {
            match ledger.get(&name) {
                Some(entry) => _ = self.put(names, entry),
                None => self.forget(&name),
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<ChannelName, Arc<Channel>>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<ChannelName, Arc<Channel>>> {
        self.channels.write().unwrap_or_else(PoisonError::into_inner)
    }
}
