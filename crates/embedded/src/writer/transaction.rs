//! One transaction: changes are collected beside the writer's state and become it only when the commit succeeded.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::Writer;
use super::base::{Base, Ends, State};
use crate::catalog::{Channel, Lane};
use crate::codec::checksum_with;
use crate::error::EngineError;
use crate::group::Group;
use crate::ranges::Settled;
use crate::schema::cursor_id;

/// An open transaction.
pub(super) struct Transaction<'a> {
    pub(super) connection: &'a Connection,
    base: &'a Base,
    pub(super) change: Change,
}

/// What a transaction changed.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) state: State,
    ends: BTreeMap<i64, (Arc<Channel>, u16, Ends)>,
    settled: BTreeMap<(i64, u16), Settled>,
    /// Partitions in which something was settled.
    settling: BTreeMap<(i64, u16), Arc<Channel>>,
    pub(super) effects: Effects,
}

/// What everybody may see once the change is durable.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) ends: Vec<(Arc<Channel>, u16, Ends)>,
    pub(crate) settled: BTreeMap<(i64, u16), (Arc<Group>, Vec<i64>)>,
    /// The lane, when the record was stored, and whether it was added (or has joined).
    pub(crate) delayed: Vec<(Arc<Lane>, i64, bool)>,
}

impl Writer {
    /// Does `work` in one transaction. The change is the database's once this returns `Ok`, but not yet durable.
    pub(super) fn transact(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), EngineError>,
    ) -> Result<Change, EngineError> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut change = Change { state: self.base.state, ..Change::default() };
        change.state.commits += 1;
        let mut transaction = Transaction { connection: &self.connection, base: &self.base, change };
        let done = work(&mut transaction).and_then(|()| transaction.write_rows());
        let mut change = transaction.change;
        let done = done.and_then(|()| Ok(self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)?));
        if let Err(error) = done {
            // SQLite may have rolled back by itself.
            if !self.connection.is_autocommit() {
                self.connection.execute_batch("ROLLBACK")?;
            }
            return Err(error);
        }
        self.base.state = change.state;
        self.base.settled.extend(std::mem::take(&mut change.settled));
        self.base.ends.extend(change.ends.iter().map(|(lane, (_, _, ends))| (*lane, *ends)));
        Ok(change)
    }
}

impl<'a> Transaction<'a> {
    /// Looks through a transaction's eyes without one.
    pub(super) fn looking(connection: &'a Connection, base: &'a Base) -> Self {
        Self { connection, base, change: Change::default() }
    }

    /// The lane's ends, only to look at.
    pub(super) fn look_ends(&self, channel: &Channel, partition: u16) -> Option<Ends> {
        let lane = channel.lanes[usize::from(partition)].id;
        self.change.ends.get(&lane).map(|(_, _, ends)| *ends).or_else(|| self.base.ends.get(&lane).copied())
    }

    /// The lane's ends, to be changed; `None` when the channel has been removed.
    pub(super) fn ends(&mut self, channel: &Arc<Channel>, partition: u16) -> Option<&mut Ends> {
        let lane = channel.lanes[usize::from(partition)].id;
        let base = self.base.ends.get(&lane)?;
        Some(&mut self.change.ends.entry(lane).or_insert_with(|| (channel.clone(), partition, *base)).2)
    }

    /// What the group has settled, to be changed.
    pub(super) fn settled(&mut self, group: i64, partition: u16) -> Option<&mut Settled> {
        let key = (group, partition);
        let base = self.base.settled.get(&key)?;
        Some(self.change.settled.entry(key).or_insert_with(|| base.clone()))
    }

    /// What the group has settled, only to look at.
    pub(super) fn look_settled(&self, group: i64, partition: u16) -> Option<&Settled> {
        let key = (group, partition);
        self.change.settled.get(&key).or_else(|| self.base.settled.get(&key))
    }

    fn write_rows(&self) -> Result<(), EngineError> {
        for (lane, (channel, partition, ends)) in &self.change.ends {
            let checksum = ends.checksum(*lane, channel.id, *partition);
            self.connection
                .prepare_cached("UPDATE lanes SET first = ?2, next = ?3, bytes = ?4, crc = ?5 WHERE id = ?1")?
                .execute((lane, ends.first, ends.next, ends.bytes, checksum))?;
        }
        for ((group, partition), settled) in &self.change.settled {
            write_cursor(self.connection, *group, *partition, settled)?;
        }
        write_state(self.connection, &self.change.state)?;
        Ok(())
    }
}

impl Change {
    /// Something was settled in a partition.
    pub(super) fn settling(&mut self, channel: &Arc<Channel>, partition: u16) {
        self.settling.entry((channel.id, partition)).or_insert_with(|| channel.clone());
    }

    /// The partitions in which something was settled.
    pub(super) fn take_settling(&mut self) -> Vec<(Arc<Channel>, u16)> {
        let settling = std::mem::take(&mut self.settling);
        settling.into_iter().map(|((_, partition), channel)| (channel, partition)).collect()
    }

    /// The highest sequence of each lane whose ends changed.
    pub(super) fn highest(&self) -> Vec<(i64, i64)> {
        self.ends.iter().map(|(lane, (_, _, ends))| (*lane, ends.next - 1)).collect()
    }

    /// Lets everybody see the new ends once the change is durable.
    pub(super) fn show_ends(mut self) -> Self {
        self.effects.ends = self.ends.values().cloned().collect();
        self
    }
}

/// Writes what a group has settled in a partition.
pub(crate) fn write_cursor(
    connection: &Connection,
    group: i64,
    partition: u16,
    settled: &Settled,
) -> rusqlite::Result<()> {
    let id = cursor_id(group, partition);
    let beyond = settled.encode_beyond();
    let checksum = checksum_with(&[id, settled.prefix], &beyond);
    connection.prepare_cached("INSERT OR REPLACE INTO cursors VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        id,
        settled.prefix,
        beyond,
        checksum
    ])?;
    Ok(())
}

/// Writes the row of table `state`.
pub(crate) fn write_state(connection: &Connection, state: &State) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO state VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            crate::schema::FORMAT,
            state.commits,
            state.catalog,
            state.next_id,
            state.next_lane,
            state.delayed_count,
            state.delayed_sum,
            state.checksum(crate::schema::FORMAT)
        ])?;
    Ok(())
}
