//! Deletes records that every declared group has settled.
//!
//! A process deletes in the partitions it has leased, behind what all groups have committed; so whichever group settles
//! last lets a record go. Where a channel keeps its records for a time, they stay that long after.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use rdkafka::{Offset, TopicPartitionList};
use trunkline_broker::{GroupName, Keep};

use crate::asker::lock;
use crate::catalog::Channel;
use crate::core::{Core, now};
use crate::error::KafkaFailure;
use crate::lease::Part;
use crate::names;
use crate::rebalance::TopicPartition;
use crate::register::blocking;

/// Starts deleting, once for each process.
pub(crate) fn start(core: &Arc<Core>) {
    if core.keeping.swap(true, Ordering::AcqRel) {
        return;
    }
    let (weak, interval) = (Arc::downgrade(core), core.options.retention_interval);
    tokio::spawn(async move { keep(weak, interval).await });
}

async fn keep(weak: Weak<Core>, interval: std::time::Duration) {
    let mut deleted: HashMap<TopicPartition, i64> = HashMap::new();
    loop {
        tokio::time::sleep(interval).await;
        let Some(core) = weak.upgrade() else { return };
        if core.closed.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = pass(&core, &mut deleted).await {
            tracing::debug!(%error, "deleting settled records; the next pass tries again");
        }
    }
}

/// One look at everything that may be deleted.
async fn pass(core: &Arc<Core>, deleted: &mut HashMap<TopicPartition, i64>) -> Result<(), KafkaFailure> {
    let mut targets: Vec<(TopicPartition, i64)> = match lock(&core.mover).as_ref() {
        Some(mover) => lock(&mover.carried).iter().map(|(place, offset)| (place.clone(), *offset)).collect(),
        None => Vec::new(),
    };
    let mut channels: HashMap<Arc<str>, Vec<(GroupName, Arc<Part>)>> = HashMap::new();
    for (group, part) in core.leases() {
        channels.entry(part.slot.topic.clone()).or_default().push((group, part));
    }
    for parts in channels.into_values() {
        let Some(channel) = core.register.catalog.get(&parts[0].1.slot.channel) else { continue };
        let core = core.clone();
        targets.extend(blocking(move || settled_by_all(&core, &channel, &parts)).await?);
    }
    let mut list = TopicPartitionList::new();
    for (place, offset) in &targets {
        if *offset > deleted.get(place).copied().unwrap_or(0) {
            // An offset that a group has committed can be set.
            drop(list.add_partition_offset(&place.0, place.1, Offset::Offset(*offset)));
        }
    }
    if list.count() > 0 {
        core.asker.delete_records(&list).await?;
        // What is no longer leased here is forgotten.
        *deleted = targets.into_iter().collect();
    }
    Ok(())
}

/// For each partition leased here, the offset before which nothing is needed any more.
fn settled_by_all(
    core: &Core,
    channel: &Channel,
    parts: &[(GroupName, Arc<Part>)],
) -> Result<Vec<(TopicPartition, i64)>, KafkaFailure> {
    let count = channel.partitions;
    let mut lowest: HashMap<u16, i64> = HashMap::new();
    for (_, part) in parts {
        lowest.insert(part.partition, part.committed.load(Ordering::Acquire));
    }
    let here = &parts[0].0;
    for group in channel.groups.iter().filter(|group| *group != here || parts.iter().any(|(g, _)| g != here))
    {
        let group = names::group(&core.options.prefix, group);
        let committed = core.asker.committed(&group, &channel.topic, count, &channel.incarnation)?;
        for (partition, low) in &mut lowest {
            let other = committed.get(usize::from(*partition)).copied().flatten();
            *low = (*low).min(other.unwrap_or(-1));
        }
    }
    if let Keep::For { age, bytes } = &channel.keep {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let since = i64::try_from(now()).unwrap_or(i64::MAX).saturating_sub(age);
        let young = core.asker.since(&channel.topic, count, since)?;
        let ends = core.asker.ends(&channel.topic, count)?;
        let most = bytes.map_or(i64::MAX, |bytes| records_in(&parts[0].1, bytes) / i64::from(count));
        for (partition, low) in &mut lowest {
            let index = usize::from(*partition);
            let (Some(end), Some(young)) = (ends.get(index), young.get(index)) else { continue };
            let young = if *young < 0 { *end } else { *young };
            *low = (*low).min(young.max(end.saturating_sub(most)));
        }
    }
    let place = |partition| (channel.topic.to_string(), i32::from(partition));
    Ok(lowest
        .into_iter()
        .filter(|(_, low)| *low > 0)
        .map(|(partition, low)| (place(partition), low))
        .collect())
}

/// About how many of the channel's records have so many bytes, judged by those seen here.
fn records_in(part: &Part, bytes: u64) -> i64 {
    let (records, seen) = (part.slot.seen.records(), part.slot.seen.bytes());
    let mean = seen.checked_div(records).unwrap_or(1).max(1);
    i64::try_from(bytes).unwrap_or(i64::MAX) / i64::try_from(mean).unwrap_or(i64::MAX)
}
