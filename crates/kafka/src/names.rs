//! What channels and groups are called on the cluster.

use trunkline_broker::{ChannelName, GroupName};

/// The topic of a channel.
pub(crate) fn topic(prefix: &str, channel: &ChannelName) -> String {
    format!("{prefix}{channel}")
}

/// The topic in which a channel's delayed records wait; a partition for each step of time.
pub(crate) fn delay_topic(prefix: &str, channel: &ChannelName) -> String {
    format!("{prefix}_delay.{channel}")
}

/// The compacted topic that says what each channel was declared with.
pub(crate) fn catalog_topic(prefix: &str) -> String {
    format!("{prefix}_channels")
}

/// The consumer group of a group.
pub(crate) fn group(prefix: &str, group: &GroupName) -> String {
    format!("{prefix}{group}")
}

/// The consumer group of the movers of delayed records.
pub(crate) fn mover_group(prefix: &str) -> String {
    format!("{prefix}_mover")
}

/// The group that looks and never joins nor commits.
pub(crate) fn looker_group(prefix: &str) -> String {
    format!("{prefix}_looker")
}

/// Why a prefix can't begin a topic's name, if it can't.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // A topic's name has 249 characters at most, a channel's 100.
    if prefix.len() <= 100 && prefix.chars().all(legal) {
        Ok(())
    } else {
        Err(format!("`{prefix}` is not at most 100 characters of a-z, A-Z, 0-9, `.`, `-` and `_`"))
    }
}
