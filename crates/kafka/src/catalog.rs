//! What channels there are and what they were declared with.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use trunkline_broker::{ChannelName, ChannelSpec, GroupName, Keep};

use crate::names;

/// A declared channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) name: ChannelName,
    pub(crate) topic: Arc<str>,
    pub(crate) delay_topic: Arc<str>,
    pub(crate) partitions: u16,
    /// In the order they were declared.
    pub(crate) groups: Vec<GroupName>,
    pub(crate) keep: Keep,
    pub(crate) max_record: usize,
    /// Its delay topic exists.
    pub(crate) delayed: bool,
    /// Which life of the channel this is: one that was removed and created again has another. Commits carry it, so that
    /// those of an earlier life are not taken for this one's.
    pub(crate) incarnation: String,
}

/// A channel as the catalog's topic holds it, as JSON under the channel's name.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    partitions: u16,
    groups: Vec<String>,
    /// Absent: until settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep_for: Option<KeepFor>,
    max_record: usize,
    #[serde(default)]
    delayed: bool,
    incarnation: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeepFor {
    age_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

impl Channel {
    /// A channel as it is declared for the first time.
    pub(crate) fn declared(prefix: &str, spec: &ChannelSpec, incarnation: String) -> Self {
        Self {
            name: spec.name.clone(),
            topic: names::topic(prefix, &spec.name).into(),
            delay_topic: names::delay_topic(prefix, &spec.name).into(),
            partitions: spec.partitions,
            groups: spec.groups.clone(),
            keep: spec.keep.clone(),
            max_record: spec.max_record,
            delayed: false,
            incarnation,
        }
    }

    /// The catalog's entry for it.
    pub(crate) fn write(&self) -> Vec<u8> {
        let keep_for = match &self.keep {
            Keep::UntilSettled => None,
            Keep::For { age, bytes } => {
                Some(KeepFor { age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX), bytes: *bytes })
            }
        };
        let entry = Entry {
            partitions: self.partitions,
            groups: self.groups.iter().map(ToString::to_string).collect(),
            keep_for,
            max_record: self.max_record,
            delayed: self.delayed,
            incarnation: self.incarnation.clone(),
        };
        // An entry has only text, numbers and lists of text, which JSON can always hold.
        serde_json::to_vec(&entry).unwrap_or_default()
    }

    /// Reads an entry of the catalog.
    pub(crate) fn read(prefix: &str, key: &[u8], value: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(key).map_err(|error| error.to_string())?;
        let name = ChannelName::parse(text).map_err(|error| error.to_string())?;
        let entry: Entry = serde_json::from_slice(value).map_err(|error| error.to_string())?;
        let groups = entry.groups.iter().map(|group| GroupName::parse(group)).collect::<Result<_, _>>();
        let keep = entry.keep_for.map_or(Keep::UntilSettled, |keep| Keep::For {
            age: Duration::from_millis(keep.age_ms),
            bytes: keep.bytes,
        });
        Ok(Self {
            topic: names::topic(prefix, &name).into(),
            delay_topic: names::delay_topic(prefix, &name).into(),
            name,
            partitions: entry.partitions,
            groups: groups.map_err(|error| error.to_string())?,
            keep,
            max_record: entry.max_record,
            delayed: entry.delayed,
            incarnation: entry.incarnation,
        })
    }

    /// The same channel with what a later entry says. Groups are only ever added, so two writers who did not see each
    /// other's entry lose none.
    fn merged(&self, mut later: Self) -> Self {
        if later.incarnation == self.incarnation {
            let added: Vec<_> =
                later.groups.iter().filter(|group| !self.groups.contains(group)).cloned().collect();
            later.groups = self.groups.iter().cloned().chain(added).collect();
            later.delayed |= self.delayed;
        }
        later
    }
}

/// All channels, as far as this process has read the catalog's topic.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    channels: RwLock<HashMap<ChannelName, Arc<Channel>>>,
}

impl Catalog {
    pub(crate) fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Channel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// An entry was read. Returns whether what stands now is more than the entry says.
    pub(crate) fn put(&self, channel: Channel) -> bool {
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        let merged = match channels.get(&channel.name) {
            Some(before) => before.merged(channel.clone()),
            None => channel.clone(),
        };
        let more = merged != channel;
        channels.insert(merged.name.clone(), Arc::new(merged));
        more
    }

    /// A tombstone was read.
    pub(crate) fn remove(&self, name: &ChannelName) {
        self.channels.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn group(name: &str) -> GroupName {
        GroupName::parse(name).unwrap()
    }

    fn channel(groups: &[&str], keep: Keep) -> Channel {
        let name = ChannelName::parse("deliver.crm").unwrap();
        let groups = groups.iter().map(|name| group(name)).collect();
        let spec = ChannelSpec { name, partitions: 3, groups, keep, max_record: 4096 };
        Channel::declared("shop.", &spec, "life-1".to_owned())
    }

    #[test]
    fn an_entry_holds_the_channel() {
        let keep = Keep::For { age: Duration::from_secs(3600), bytes: Some(1 << 30) };
        for keep in [Keep::UntilSettled, keep] {
            let written = channel(&["dispatcher"], keep);
            let read = Channel::read("shop.", b"deliver.crm", &written.write()).unwrap();
            assert_eq!(read, written);
            assert_eq!(&*read.delay_topic, "shop._delay.deliver.crm");
        }
        assert!(Channel::read("", b"deliver.crm", b"{}").is_err());
        assert!(Channel::read("", b"NO", b"").is_err());
    }

    /// The names in the topic are a contract between releases.
    #[test]
    fn entries_of_earlier_releases_are_read() {
        let entry = br#"{"partitions":3,"groups":["router"],"keep_for":{"age_ms":1000},"max_record":9,"incarnation":"x"}"#;
        let read = Channel::read("", b"events", entry).unwrap();
        assert_eq!(read.keep, Keep::For { age: Duration::from_secs(1), bytes: None });
        assert_eq!((read.partitions, read.max_record, read.delayed), (3, 9, false));
    }

    #[test]
    fn writers_who_do_not_see_each_other_lose_no_group() {
        let catalog = Catalog::default();
        assert!(!catalog.put(channel(&["a", "b"], Keep::UntilSettled)));
        assert!(catalog.put(channel(&["c"], Keep::UntilSettled)));
        let name = ChannelName::parse("deliver.crm").unwrap();
        assert_eq!(catalog.get(&name).unwrap().groups, [group("a"), group("b"), group("c")]);

        let again = Channel { incarnation: "life-2".to_owned(), ..channel(&["z"], Keep::UntilSettled) };
        assert!(!catalog.put(again));
        assert_eq!(catalog.get(&name).unwrap().groups, [group("z")]);
        catalog.remove(&name);
        assert!(catalog.get(&name).is_none());
    }
}
