//! Channels: named, partitioned, durable streams, and what they are declared with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use trunkline_core::DestinationName;

/// The name of a channel, without the configuration's prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

/// The name of a group of consumers that share a channel's records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(Arc<str>);

/// A name that is not 1 to 100 characters of `a-z`, `0-9`, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not 1 to 100 characters of a-z, 0-9, - and .")]
pub struct ChannelNameError(String);

/// What a channel is declared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Its name.
    pub name: ChannelName,
    /// How many partitions; at least 1. Records of one key are in one partition, in order.
    pub partitions: u16,
    /// Every group that must get each record. A record is confirmed only when it is stored for all of them.
    pub groups: Vec<GroupName>,
    /// How long records are kept.
    pub keep: Keep,
    /// The longest record (key, headers and value together) in bytes.
    pub max_record: usize,
}

/// How long a channel keeps its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// Until every declared group has settled them.
    UntilSettled,
    /// A time, or less when `bytes` is exceeded; but never less than until every declared group has settled them. An engine
    /// that is full refuses new records instead.
    For {
        /// Since the record was stored.
        age: Duration,
        /// Values and keys of one channel, all partitions together.
        bytes: Option<u64>,
    },
}

impl ChannelName {
    /// Parses a channel's name.
    ///
    /// # Errors
    /// [`ChannelNameError`] when it has other characters or another length.
    pub fn parse(text: &str) -> Result<Self, ChannelNameError> {
        check(text).map(Self)
    }

    /// `events`: accepted events.
    pub fn events() -> Self {
        Self("events".into())
    }

    /// `journey`: what happened to events.
    pub fn journey() -> Self {
        Self("journey".into())
    }

    /// `deliver.<destination>`: deliveries that wait for one destination.
    pub fn deliver(destination: &DestinationName) -> Self {
        Self(format!("deliver.{destination}").into())
    }

    /// `dead.<destination>`: dead letters of one destination.
    pub fn dead(destination: &DestinationName) -> Self {
        Self(format!("dead.{destination}").into())
    }

    /// `dead.router`: records that are no event.
    pub fn dead_router() -> Self {
        Self("dead.router".into())
    }

    /// `dead.gateway`: authenticated webhooks that did not normalize.
    pub fn dead_gateway() -> Self {
        Self("dead.gateway".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl GroupName {
    /// Parses a group's name; same rules as for channels.
    ///
    /// # Errors
    /// [`ChannelNameError`] when it has other characters or another length.
    pub fn parse(text: &str) -> Result<Self, ChannelNameError> {
        check(text).map(Self)
    }

    /// The group of all routers, on `events`.
    pub fn router() -> Self {
        Self("router".into())
    }

    /// The group of all dispatchers, on `deliver.*`.
    pub fn dispatcher() -> Self {
        Self("dispatcher".into())
    }

    /// The group of all consoles, on `dead.*` and `journey`.
    pub fn console() -> Self {
        Self("console".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<Arc<str>, ChannelNameError> {
    let permitted =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if (1..=100).contains(&text.len()) && text.bytes().all(permitted) {
        Ok(text.into())
    } else {
        Err(ChannelNameError(text.to_owned()))
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_once() {
        let longest = "x".repeat(100);
        for good in ["events", "deliver.crm-2", "0", &longest] {
            assert_eq!(ChannelName::parse(good).as_ref().map(ChannelName::as_str), Ok(good));
            assert_eq!(GroupName::parse(good).as_ref().map(GroupName::as_str), Ok(good));
        }
        for bad in ["", "Events", "a_b", "a/b", "a b", "ä", &"x".repeat(101)] {
            assert_eq!(ChannelName::parse(bad), Err(ChannelNameError(bad.to_owned())));
        }
    }

    #[test]
    fn every_destination_has_its_channels() {
        let longest = "d".repeat(63);
        for name in ["crm", &longest] {
            let destination = DestinationName::parse(name).expect("a destination's name");
            for channel in [ChannelName::deliver(&destination), ChannelName::dead(&destination)] {
                assert_eq!(ChannelName::parse(channel.as_str()), Ok(channel));
            }
        }
        assert_eq!(ChannelName::parse("dead.router"), Ok(ChannelName::dead_router()));
    }
}
