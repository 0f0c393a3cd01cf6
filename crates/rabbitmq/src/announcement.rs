//! What processes tell each other over the members' exchange, as lines of text that an operator can read.

use std::collections::BTreeMap;

use trunkline_broker::{ChannelName, GroupName};

/// What one process consumes and looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// The queue on which this process is told and asked.
    pub(crate) queue: String,
    pub(crate) members: Vec<MemberLine>,
    /// Partitions that it has a lease of, draining ones included.
    pub(crate) holds: Vec<Hold>,
    /// Channels that somebody in it looks at.
    pub(crate) observes: Vec<ChannelName>,
}

/// One consumer of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberLine {
    pub(crate) id: String,
    pub(crate) group: GroupName,
    pub(crate) channels: Vec<ChannelName>,
}

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hold {
    pub(crate) group: GroupName,
    pub(crate) channel: ChannelName,
    pub(crate) partition: u16,
}

/// Unsettled records of a partition in one process, and the number of the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct InHand {
    pub(crate) records: u64,
    pub(crate) first: Option<i64>,
}

impl Announcement {
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("queue {}", self.queue)];
        for member in &self.members {
            let channels: Vec<&str> = member.channels.iter().map(ChannelName::as_str).collect();
            lines.push(format!("member {} {} {}", member.id, member.group, channels.join(" ")));
        }
        for Hold { group, channel, partition } in &self.holds {
            lines.push(format!("hold {group} {channel} {partition}"));
        }
        lines.extend(self.observes.iter().map(|channel| format!("observe {channel}")));
        lines.join("\n")
    }

    /// Reads what [`Self::text`] wrote; lines of later versions are passed over.
    pub(crate) fn parse(text: &str) -> Self {
        let mut announcement = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let kind = words.next();
            if announcement.take(kind, &mut words).is_none() {
                tracing::debug!(line, "a line of another process's announcement is not understood");
            }
        }
        announcement
    }

    fn take<'a>(&mut self, kind: Option<&str>, words: &mut impl Iterator<Item = &'a str>) -> Option<()> {
        match kind? {
            "queue" => self.queue = words.next()?.to_owned(),
            "member" => {
                let id = words.next()?.to_owned();
                let group = GroupName::parse(words.next()?).ok()?;
                let channels = words.map(|word| ChannelName::parse(word).ok()).collect::<Option<_>>()?;
                self.members.push(MemberLine { id, group, channels });
            }
            "hold" => self.holds.push(Hold {
                group: GroupName::parse(words.next()?).ok()?,
                channel: ChannelName::parse(words.next()?).ok()?,
                partition: words.next()?.parse().ok()?,
            }),
            "observe" => self.observes.push(ChannelName::parse(words.next()?).ok()?),
            _ => return None,
        }
        Some(())
    }
}

/// The question how much of a channel is in a process's hands.
pub(crate) fn question(channel: &ChannelName, group: &GroupName) -> String {
    format!("{channel} {group}")
}

pub(crate) fn parse_question(text: &str) -> Option<(ChannelName, GroupName)> {
    let (channel, group) = text.split_once(' ')?;
    Some((ChannelName::parse(channel).ok()?, GroupName::parse(group).ok()?))
}

/// The answer, by partition.
pub(crate) fn answer(in_hand: &BTreeMap<u16, InHand>) -> String {
    let line = |(partition, in_hand): (&u16, &InHand)| {
        format!("{partition} {} {}\n", in_hand.records, in_hand.first.unwrap_or(0))
    };
    in_hand.iter().map(line).collect()
}

pub(crate) fn parse_answer(text: &str) -> BTreeMap<u16, InHand> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let partition = words.next()?.parse().ok()?;
        let records = words.next()?.parse().ok()?;
        let first = words.next()?.parse().ok().filter(|first| *first != 0);
        Some((partition, InHand { records, first }))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_understood() {
        let (group, channel) = (GroupName::dispatcher(), ChannelName::dead_router());
        let announcement = Announcement {
            queue: "amq.gen-x".to_owned(),
            members: vec![
                MemberLine {
                    id: "a-1".to_owned(),
                    group: group.clone(),
                    channels: vec![ChannelName::events()],
                },
                MemberLine { id: "a-2".to_owned(), group: group.clone(), channels: Vec::new() },
            ],
            holds: vec![Hold { group: group.clone(), channel: channel.clone(), partition: 3 }],
            observes: vec![ChannelName::journey()],
        };
        assert_eq!(Announcement::parse(&announcement.text()), announcement);
        let later = format!("{}\nweight a-1 7\nhold x", announcement.text());
        assert_eq!(Announcement::parse(&later), announcement);
        assert_eq!(parse_question(&question(&channel, &group)), Some((channel, group)));
    }

    #[test]
    fn what_is_answered_is_understood() {
        let in_hand = BTreeMap::from([
            (0, InHand { records: 3, first: Some(17) }),
            (2, InHand { records: 0, first: None }),
        ]);
        assert_eq!(parse_answer(&answer(&in_hand)), in_hand);
    }
}
