//! What things are called in the broker, so that an operator finds them with its own tools.

use lapin::types::ShortString;
use trunkline_broker::{ChannelName, GroupName};

/// Names with the configured prefix.
///
/// They fit AMQP's 255 bytes: a prefix of at most [`Names::MAX_PREFIX`] bytes, a channel and a group of at most 100 each.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) const MAX_PREFIX: usize = 40;

    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// The channel's fanout exchange, for those who only look. That it is there says that the channel is.
    pub(crate) fn channel(&self, channel: &ChannelName) -> ShortString {
        self.name(channel.as_str())
    }

    /// A group's direct exchange; the routing key is the partition's number.
    pub(crate) fn group(&self, channel: &ChannelName, group: &GroupName) -> ShortString {
        self.name(&format!("{channel}:{group}"))
    }

    /// The queue of one partition for one group.
    pub(crate) fn queue(&self, channel: &ChannelName, group: &GroupName, partition: u16) -> ShortString {
        self.name(&format!("{channel}:{group}:{partition}"))
    }

    /// The topic exchange through which delayed records come to a group's queues when their time has come.
    pub(crate) fn due(&self, channel: &ChannelName, group: &GroupName) -> ShortString {
        self.name(&format!("{channel}:{group}:due"))
    }

    /// A level of delay: a topic exchange, and the queue in which records wait.
    pub(crate) fn level(&self, channel: &ChannelName, group: &GroupName, level: u8) -> ShortString {
        self.name(&format!("{channel}:{group}:delay.{level}"))
    }

    /// The fanout exchange over which processes tell each other what they consume.
    pub(crate) fn members(&self) -> ShortString {
        self.name(":members")
    }

    /// The queue that holds what channels were declared as.
    pub(crate) fn ledger(&self) -> ShortString {
        self.name(":channels")
    }

    /// Exchange and queue for foreign publishers.
    pub(crate) fn foreign(&self) -> ShortString {
        self.name("events.in")
    }

    /// Where foreign records go that can't be events, being too large.
    pub(crate) fn refused(&self) -> ShortString {
        self.name("events.in:refused")
    }

    fn name(&self, rest: &str) -> ShortString {
        // The lengths are bounded as said above, so nothing is ever cut off.
        ShortString::try_new(format!("{}{rest}", self.prefix)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_names_fit() {
        let names = Names::new(&"p".repeat(Names::MAX_PREFIX));
        let (channel, group) = ("c".repeat(100), "g".repeat(100));
        let channel = ChannelName::parse(&channel).expect("a name");
        let group = GroupName::parse(&group).expect("a name");
        assert!(!names.queue(&channel, &group, u16::MAX).as_str().is_empty());
        assert!(!names.level(&channel, &group, 23).as_str().is_empty());
    }
}
