//! What channels were declared as, for processes that did not declare them: AMQP can't be asked for it.
//!
//! It is one record in one quorum queue, a line per channel. Who takes it out and has not answered for it may write the next
//! one, then settles the old; a crash in between leaves both. So do two who begin at the same time. Whoever finds several
//! joins them: groups are only ever added, and what exists is looked at before it is believed.

use std::collections::BTreeMap;

use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel as Amqp};
use trunkline_broker::{ChannelName, GroupName};

use crate::error::RabbitFailure;
use crate::names::Names;

/// What one channel was declared as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: ChannelName,
    pub(crate) partitions: u16,
    pub(crate) max_record: usize,
    pub(crate) groups: Vec<GroupEntry>,
}

/// A group of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupEntry {
    pub(crate) name: GroupName,
    /// How many delay levels it has.
    pub(crate) levels: u8,
}

/// What all channels were declared as.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    entries: BTreeMap<ChannelName, Entry>,
}

impl Ledger {
    pub(crate) fn get(&self, name: &ChannelName) -> Option<&Entry> {
        self.entries.get(name)
    }

    pub(crate) fn remove(&mut self, name: &ChannelName) {
        self.entries.remove(name);
    }

    /// Adds an entry, or its groups and levels to the one that is there; the later `max_record` holds.
    pub(crate) fn join(&mut self, entry: Entry) {
        match self.entries.get_mut(&entry.name) {
            Some(known) if known.partitions == entry.partitions => {
                known.max_record = entry.max_record;
                for group in entry.groups {
                    match known.groups.iter_mut().find(|known| known.name == group.name) {
                        Some(known) => known.levels = known.levels.max(group.levels),
                        None => known.groups.push(group),
                    }
                }
            }
            _ => _ = self.entries.insert(entry.name.clone(), entry),
        }
    }

    fn parse(text: &str) -> Self {
        let mut ledger = Self::default();
        text.lines().filter_map(parse_line).for_each(|entry| ledger.join(entry));
        ledger
    }

    fn text(&self) -> String {
        let line = |entry: &Entry| {
            let group = |group: &GroupEntry| format!(" {}={}", group.name, group.levels);
            let groups: String = entry.groups.iter().map(group).collect();
            format!("{} {} {}{groups}\n", entry.name, entry.partitions, entry.max_record)
        };
        self.entries.values().map(line).collect()
    }
}

fn parse_line(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace();
    let name = ChannelName::parse(words.next()?).ok()?;
    let partitions = words.next()?.parse().ok()?;
    let max_record = words.next()?.parse().ok()?;
    let group = |word: &str| {
        let (name, levels) = word.split_once('=')?;
        Some(GroupEntry { name: GroupName::parse(name).ok()?, levels: levels.parse().ok()? })
    };
    let groups = words.map(group).collect::<Option<_>>()?;
    Some(Entry { name, partitions, max_record, groups })
}

/// What was taken out.
struct Taken {
    ledger: Ledger,
    /// The last record's delivery tag.
    last: u64,
    records: usize,
}

/// Reads it over a fresh AMQP channel, whose closing puts back what was taken. `None` when somebody else has it in hand, or
/// nobody wrote it yet.
pub(crate) async fn read(amqp: &Amqp, names: &Names) -> Result<Option<Ledger>, RabbitFailure> {
    let Some(taken) = take(amqp, names).await? else { return Ok(None) };
    if taken.records > 1 {
        let ledger = taken.ledger.clone();
        write(amqp, names, &ledger, Some(taken)).await?;
        return Ok(Some(ledger));
    }
    Ok(Some(taken.ledger))
}

/// Changes it, over a fresh AMQP channel. `None` when somebody else has it in hand, or nobody wrote it yet and `begin` does
/// not say to begin.
pub(crate) async fn change(
    amqp: &Amqp,
    names: &Names,
    begin: bool,
    what: impl FnOnce(&mut Ledger) + Send,
) -> Result<Option<Ledger>, RabbitFailure> {
    let taken = take(amqp, names).await?;
    if taken.is_none() && !begin {
        return Ok(None);
    }
    let before = taken.as_ref().map(|taken| taken.ledger.clone()).unwrap_or_default();
    let mut ledger = before.clone();
    what(&mut ledger);
    if ledger != before {
        write(amqp, names, &ledger, taken).await?;
    }
    Ok(Some(ledger))
}

/// Writes it in the place of what was taken.
async fn write(
    amqp: &Amqp,
    names: &Names,
    ledger: &Ledger,
    instead: Option<Taken>,
) -> Result<(), RabbitFailure> {
    amqp.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let text = ledger.text();
    let sent = amqp.basic_publish("".into(), names.ledger(), options, text.as_bytes(), properties);
    let confirm = sent.await?.await?;
    if !confirm.is_ack() || confirm.take_message().is_some() {
        return Err(RabbitFailure::Nacked);
    }
    if let Some(Taken { last, .. }) = instead {
        amqp.basic_ack(last, BasicAckOptions { multiple: true }).await?;
    }
    Ok(())
}

async fn take(amqp: &Amqp, names: &Names) -> Result<Option<Taken>, RabbitFailure> {
    let mut taken: Option<Taken> = None;
    while let Some(message) = amqp.basic_get(names.ledger(), BasicGetOptions::default()).await? {
        let last = message.delivery.delivery_tag;
        let more = Ledger::parse(&String::from_utf8_lossy(&message.delivery.data));
        let before = taken.take().map(|taken| (taken.ledger, taken.records));
        let (mut ledger, records) = before.unwrap_or_default();
        more.entries.into_values().for_each(|entry| ledger.join(entry));
        taken = Some(Taken { ledger, last, records: records + 1 });
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, groups: &[(&str, u8)]) -> Entry {
        let group = |(name, levels): &(&str, u8)| GroupEntry {
            name: GroupName::parse(name).expect("a name"),
            levels: *levels,
        };
        Entry {
            name: ChannelName::parse(name).expect("a name"),
            partitions: 4,
            max_record: 1000,
            groups: groups.iter().map(group).collect(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut ledger = Ledger::default();
        ledger.join(entry("events", &[("router", 0), ("archive", 12)]));
        ledger.join(entry("deliver.crm", &[]));
        assert_eq!(Ledger::parse(&ledger.text()), ledger);
        assert_eq!(Ledger::parse("not a line\nevents many\n"), Ledger::default());
    }

    #[test]
    fn groups_and_levels_are_joined() {
        let mut ledger = Ledger::default();
        ledger.join(entry("events", &[("router", 3)]));
        ledger.join(entry("events", &[("archive", 0), ("router", 2)]));
        let joined = entry("events", &[("router", 3), ("archive", 0)]);
        assert_eq!(ledger.get(&joined.name), Some(&joined));
    }
}
