//! Deleting what nobody needs any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::OptionalExtension;
use trunkline_broker::Keep;

use super::transaction::Transaction;
use super::{SWEEP, Writer};
use crate::catalog::Channel;
use crate::error::EngineError;

/// Settled records of a lane are deleted along with a group once there are so many; fewer wait for a quiet moment.
const WORTHWHILE: i64 = 256;
/// Records deleted of one lane in one transaction.
const BATCH: i64 = 4096;
/// How long one sweep may take while requests wait.
const SWEEP_LIMIT: Duration = Duration::from_millis(20);

impl Writer {
    /// From time to time, deletes what is settled or old everywhere.
    pub(super) fn sweep_when_time(&mut self) {
        if self.last_sweep.elapsed() < SWEEP || self.core.stopped().is_some() {
            return;
        }
        let begun = Instant::now();
        if let Err(error) = self.sweep(begun) {
            self.stop_unless_passing(&error);
            tracing::warn!(%error, "settled records could not be deleted, it is tried again");
        }
        self.confirmer.sync_side();
        self.last_sweep = Instant::now();
    }

    fn sweep(&mut self, begun: Instant) -> Result<(), EngineError> {
        let now = self.core.clock.now();
        for channel in self.core.catalog.all() {
            loop {
                let mut deleted = 0;
                // A transaction is begun only where something will come of it.
                if !self.anything_to_prune(&channel, now)? {
                    break;
                }
                let change = self.transact(|transaction| {
                    for partition in 0..channel.partitions() {
                        deleted += prune_lane(transaction, &channel, partition, now)?;
                    }
                    Ok(())
                })?;
                self.pass_on(change.show_ends(), Vec::new());
                if deleted == 0 || (self.core.requests.len() > 0 && begun.elapsed() > SWEEP_LIMIT) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn anything_to_prune(&self, channel: &Arc<Channel>, now: i64) -> Result<bool, EngineError> {
        let look = Transaction::looking(&self.connection, &self.base);
        for partition in 0..channel.partitions() {
            if prunable_to(&look, channel, partition, now)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Deletes along with the receipts that a group settles, so that a busy channel stays short.
pub(super) fn prune_settled(transaction: &mut Transaction<'_>) -> Result<(), EngineError> {
    for (channel, partition) in transaction.change.take_settling() {
        if channel.settings().keep != Keep::UntilSettled {
            continue;
        }
        let settled = settled_by_all(transaction, &channel, partition);
        let first = transaction.look_ends(&channel, partition).map(|ends| ends.first);
        if settled.zip(first).is_some_and(|(settled, first)| settled - first + 1 >= WORTHWHILE) {
            prune_lane(transaction, &channel, partition, 0)?;
        }
    }
    Ok(())
}

/// Deletes from the front of a lane; returns how many.
fn prune_lane(
    transaction: &mut Transaction<'_>,
    channel: &Arc<Channel>,
    partition: u16,
    now: i64,
) -> Result<i64, EngineError> {
    let Some(last) = prunable_to(transaction, channel, partition, now)? else { return Ok(0) };
    let lane = channel.lanes[usize::from(partition)].clone();
    let table = crate::schema::lane_table(channel.name.as_str(), partition);
    let Some(first) = transaction.look_ends(channel, partition).map(|ends| ends.first) else { return Ok(0) };
    let bytes: i64 = transaction
        .connection
        .prepare_cached(&format!(
            "SELECT coalesce(sum(length(\"key\") + length(value)), 0) FROM \"{table}\" WHERE sequence BETWEEN ?1 AND ?2"
        ))?
        .query_row((first, last), |row| row.get(0))?;
    transaction.connection.prepare_cached(&lane.delete)?.execute((first, last))?;
    if let Some(ends) = transaction.ends(channel, partition) {
        ends.first = last + 1;
        ends.bytes -= bytes;
    }
    Ok(last - first + 1)
}

/// The last sequence that may go now, at most a batch away; `None` when nothing may.
fn prunable_to(
    transaction: &Transaction<'_>,
    channel: &Arc<Channel>,
    partition: u16,
    now: i64,
) -> Result<Option<i64>, EngineError> {
    let Some(ends) = transaction.look_ends(channel, partition) else { return Ok(None) };
    let Some(settled) = settled_by_all(transaction, channel, partition) else { return Ok(None) };
    let most = settled.min(ends.next - 1).min(ends.first + BATCH - 1);
    if most < ends.first {
        return Ok(None);
    }
    let last = match channel.settings().keep {
        Keep::UntilSettled => most,
        Keep::For { age, bytes } => {
            let cutoff = now - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let total =
                channel.lanes.iter().filter_map(|lane| transaction.look_ends(channel, lane.partition));
            let total: i64 = total.map(|ends| ends.bytes).sum();
            let over = bytes.is_some_and(|bytes| total > i64::try_from(bytes).unwrap_or(i64::MAX));
            if over {
                // A small step at a time, so that not much more goes than must.
                most.min(ends.first + 63)
            } else {
                old_to(transaction, channel, partition, (ends.first, most), cutoff)?
            }
        }
    };
    Ok((last >= ends.first).then_some(last))
}

/// The last sequence between two that was stored before `cutoff`; below `first` when none was. Within a lane times
/// ascend but for delayed records, which then are kept a little longer.
fn old_to(
    transaction: &Transaction<'_>,
    channel: &Arc<Channel>,
    partition: u16,
    (first, last): (i64, i64),
    cutoff: i64,
) -> Result<i64, EngineError> {
    let table = crate::schema::lane_table(channel.name.as_str(), partition);
    let mut statement = transaction.connection.prepare_cached(&format!(
        "SELECT stored FROM \"{table}\" WHERE sequence >= ?1 ORDER BY sequence LIMIT 1"
    ))?;
    // Between `old`, which is old enough, and `young`, which is not.
    let (mut old, mut young) = (first - 1, last + 1);
    while young - old > 1 {
        let middle = if old < first { first } else { old + (young - old) / 2 };
        let stored: Option<i64> = statement.query_row([middle], |row| row.get(0)).optional()?;
        if stored.is_none_or(|stored| stored < cutoff) { old = middle } else { young = middle }
    }
    Ok(old)
}

/// The last sequence that every group has settled; without groups, everything is. A channel that is kept until it is
/// settled waits for its first group.
fn settled_by_all(transaction: &Transaction<'_>, channel: &Arc<Channel>, partition: u16) -> Option<i64> {
    let groups = channel.groups();
    if groups.is_empty() {
        return (channel.settings().keep != Keep::UntilSettled).then_some(i64::MAX);
    }
    groups
        .iter()
        .map(|group| transaction.look_settled(group.id, partition).map(|settled| settled.prefix))
        .min()?
}
