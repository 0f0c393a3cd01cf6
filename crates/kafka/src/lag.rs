//! How far a group is behind.
//!
//! The distance between two offsets also counts marks that transactions leave, which are no records. So a short backlog
//! is read and counted, and a long one measured; its first record tells its age.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use trunkline_broker::{GroupName, Lag};

use crate::asker::lock;
use crate::catalog::Channel;
use crate::context::Common;
use crate::core::{Core, now};
use crate::delay::STEPS;
use crate::error::KafkaFailure;
use crate::names;
use crate::properties;
use crate::register::blocking;

/// A backlog up to this many offsets is counted record by record.
const COUNTED: i64 = 500;

/// A part of a topic that is to be looked at.
#[derive(Debug, Clone, Copy)]
struct Span {
    partition: u16,
    from: i64,
    to: i64,
}

/// What was found in it.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    records: u64,
    /// Milliseconds since 1970.
    oldest: Option<i64>,
}

/// The lag of a group on a channel, per partition; delayed records count in the first.
pub(crate) async fn lag(
    core: &Arc<Core>,
    channel: &Arc<Channel>,
    group: &GroupName,
) -> Result<Vec<Lag>, KafkaFailure> {
    let (core, channel, group) = (core.clone(), channel.clone(), group.clone());
    blocking(move || {
        // A record that the mover carries over between two looks would be counted twice, or not at all.
        let mut delayed = delayed(&core, &channel)?;
        loop {
            let partitions = settled_by(&core, &channel, &group)?;
            let again = self::delayed(&core, &channel)?;
            if again.records == delayed.records {
                return Ok(merge(partitions, delayed));
            }
            delayed = again;
        }
    })
    .await
}

fn merge(partitions: Vec<Found>, delayed: Found) -> Vec<Lag> {
    let now = i64::try_from(now()).unwrap_or(i64::MAX);
    let lag = |(index, found): (usize, Found)| {
        let with = if index == 0 { delayed } else { Found::default() };
        let oldest = [found.oldest, with.oldest].into_iter().flatten().min();
        let age = |stored| Duration::from_millis(u64::try_from(now.saturating_sub(stored)).unwrap_or(0));
        Lag {
            partition: u16::try_from(index).unwrap_or(u16::MAX),
            records: found.records + with.records,
            oldest: oldest.map(age),
        }
    };
    partitions.into_iter().enumerate().map(lag).collect()
}

/// What a group has not settled of the channel itself.
fn settled_by(core: &Core, channel: &Channel, group: &GroupName) -> Result<Vec<Found>, KafkaFailure> {
    let (topic, count) = (&*channel.topic, channel.partitions);
    // What is settled here counts before it is committed.
    let mut here: HashMap<u16, i64> = HashMap::new();
    for (of, part) in core.leases() {
        if of == *group && *part.slot.topic == *topic && part.slot.incarnation == channel.incarnation {
            here.insert(part.partition, part.position());
        }
    }
    let mut committed = vec![None; usize::from(count)];
    // The coordinator need not be asked about what is all held here; finding it takes a new client a second.
    if here.len() < committed.len() {
        let asked = names::group(&core.options.prefix, group);
        committed = core.asker.committed(&asked, topic, count, &channel.incarnation)?;
    }
    let settled = |partition: u16| {
        here.get(&partition).copied().max(committed.get(usize::from(partition)).copied().flatten())
    };
    spans(core, topic, count, settled)
}

/// What waits in the channel's delay topic.
fn delayed(core: &Core, channel: &Channel) -> Result<Found, KafkaFailure> {
    if !channel.delayed {
        return Ok(Found::default());
    }
    let (topic, count) = (&*channel.delay_topic, u16::from(STEPS));
    let here = lock(&core.mover).as_ref().map(|mover| mover.positions(topic)).unwrap_or_default();
    let mut committed: Vec<Option<i64>> = (0..count).map(|partition| here.get(&partition).copied()).collect();
    if here.len() < committed.len() {
        let mover = names::mover_group(&core.options.prefix);
        committed = core.asker.committed(&mover, topic, count, &channel.incarnation)?;
    }
    let found =
        spans(core, topic, count, |partition| committed.get(usize::from(partition)).copied().flatten())?;
    Ok(found.into_iter().fold(Found::default(), |sum, found| Found {
        records: sum.records + found.records,
        oldest: [sum.oldest, found.oldest].into_iter().flatten().min(),
    }))
}

fn spans(
    core: &Core,
    topic: &str,
    partitions: u16,
    settled: impl Fn(u16) -> Option<i64>,
) -> Result<Vec<Found>, KafkaFailure> {
    let ends = core.asker.ends(topic, partitions)?;
    let begins = core.asker.begins(topic, partitions)?;
    let mut spans = Vec::new();
    for partition in 0..partitions {
        let index = usize::from(partition);
        let from = settled(partition).unwrap_or(begins[index]).max(begins[index]);
        if from < ends[index] {
            spans.push(Span { partition, from, to: ends[index] });
        }
    }
    let mut found = vec![Found::default(); usize::from(partitions)];
    if !spans.is_empty() {
        look(core, topic, &spans, &mut found)?;
    }
    Ok(found)
}

/// Reads the beginnings of spans, with a client of its own: one that looked at another topic before takes a second to
/// turn to this one.
fn look(core: &Core, topic: &str, spans: &[Span], found: &mut [Found]) -> Result<(), KafkaFailure> {
    let failure = |cause| core.asker.failure(format!("show the backlog of topic `{topic}`"), cause);
    let config = properties::looker(&core.options, &names::looker_group(&core.options.prefix));
    let made = BaseConsumer::from_config_and_context(&config, core.common.clone());
    let consumer: BaseConsumer<Common> = made.map_err(failure)?;
    let mut list = TopicPartitionList::new();
    for span in spans {
        let partition = i32::from(span.partition);
        list.add_partition_offset(topic, partition, Offset::Offset(span.from)).map_err(failure)?;
    }
    consumer.assign(&list).map_err(failure)?;
    read(&consumer, spans, found, Instant::now() + core.options.request_timeout)
}

fn read(
    consumer: &BaseConsumer<Common>,
    spans: &[Span],
    found: &mut [Found],
    deadline: Instant,
) -> Result<(), KafkaFailure> {
    let mut open: HashMap<i32, Span> = spans.iter().map(|span| (i32::from(span.partition), *span)).collect();
    while !open.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(KafkaFailure::Overdue("show a backlog"));
        }
        match consumer.poll(left.min(Duration::from_millis(50))) {
            None => {}
            Some(Ok(message)) => {
                let Some(span) = open.get(&message.partition()) else { continue };
                let part = &mut found[usize::from(span.partition)];
                let offset = message.offset();
                if offset < span.to {
                    part.oldest = part.oldest.or(message.timestamp().to_millis());
                    part.records += 1;
                }
                if span.to - span.from > COUNTED {
                    part.records = u64::try_from(span.to - offset).unwrap_or(0);
                } else if offset + 1 < span.to {
                    continue;
                }
                open.remove(&message.partition());
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            Some(Err(error)) => tracing::debug!(%error, "looking at a backlog"),
        }
    }
    Ok(())
}
