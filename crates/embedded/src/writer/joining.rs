//! Delayed records whose time has come join their lane.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::OptionalExtension;

use super::Writer;
use super::storing::{TIE_BITS, append};
use super::transaction::Transaction;
use crate::catalog::Channel;
use crate::codec::{body_checksum, record_checksum};
use crate::error::EngineError;

/// Records that join in one transaction.
const BATCH: i64 = 512;

/// A row of table `delayed`.
#[derive(Debug)]
struct Delayed {
    id: i64,
    lane: i64,
    stored: i64,
    key: Vec<u8>,
    headers: Vec<u8>,
    value: Vec<u8>,
    checksum: i64,
}

impl Writer {
    /// Lets what is due join, as long as there is something.
    pub(super) fn join_due(&mut self) {
        while self.next_due.is_some_and(|due| due <= self.core.clock.now()) && self.core.stopped().is_none() {
            if let Err(error) = self.join_batch() {
                self.stop_unless_passing(&error);
                // A full disk passes; until then there is no use in trying at once.
                self.next_due = Some(self.core.clock.now() + 100);
                return;
            }
        }
    }

    fn join_batch(&mut self) -> Result<(), EngineError> {
        let due = self.due(self.core.clock.now())?;
        let lanes = self.lanes_by_id();
        let mut whole = Vec::with_capacity(due.len());
        for record in due {
            match lanes.get(&record.lane) {
                Some(place) if record.is_whole() => whole.push((record, place.clone())),
                Some((channel, partition)) => {
                    let lane = &channel.lanes[usize::from(*partition)];
                    self.core.note_damage(lane, "a delayed record's checksum does not match");
                    self.joined_to = record.id;
                }
                None => self.joined_to = record.id,
            }
        }
        if !whole.is_empty() {
            let change = self.transact(|transaction| {
                whole.iter().try_for_each(|(record, (channel, partition))| {
                    join(transaction, record, channel, *partition)
                })
            })?;
            self.pass_on(change.show_ends(), Vec::new());
        }
        self.next_due = self.find_next_due()?;
        Ok(())
    }

    fn due(&self, now: i64) -> Result<Vec<Delayed>, EngineError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, lane, stored, \"key\", headers, value, crc FROM delayed \
             WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
        )?;
        let rows = statement.query_map((self.joined_to, (now + 1) << TIE_BITS, BATCH), |row| {
            Ok(Delayed {
                id: row.get(0)?,
                lane: row.get(1)?,
                stored: row.get(2)?,
                key: row.get(3)?,
                headers: row.get(4)?,
                value: row.get(5)?,
                checksum: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the first delayed record is due.
    pub(super) fn find_next_due(&self) -> rusqlite::Result<Option<i64>> {
        let mut statement =
            self.connection.prepare_cached("SELECT id FROM delayed WHERE id > ?1 ORDER BY id LIMIT 1")?;
        let first: Option<i64> = statement.query_row([self.joined_to], |row| row.get(0)).optional()?;
        Ok(first.map(|id| id >> TIE_BITS))
    }

    fn lanes_by_id(&self) -> HashMap<i64, (Arc<Channel>, u16)> {
        let channels = self.core.catalog.all();
        let lanes = channels.iter().flat_map(|channel| channel.lanes.iter().map(move |lane| (channel, lane)));
        lanes.map(|(channel, lane)| (lane.id, (channel.clone(), lane.partition))).collect()
    }
}

impl Delayed {
    fn body(&self) -> u32 {
        body_checksum(&self.key, &self.headers, &self.value)
    }

    fn is_whole(&self) -> bool {
        i64::from(record_checksum(self.lane, self.id, self.stored, self.body())) == self.checksum
    }
}

fn join(
    transaction: &mut Transaction<'_>,
    record: &Delayed,
    channel: &Arc<Channel>,
    partition: u16,
) -> Result<(), EngineError> {
    let parts = (&*record.key, &*record.headers, &*record.value);
    append(transaction, (channel, partition), parts, record.body(), record.stored)?;
    transaction.connection.prepare_cached("DELETE FROM delayed WHERE id = ?1")?.execute([record.id])?;
    let state = &mut transaction.change.state;
    state.delayed_count -= 1;
    state.delayed_sum = state.delayed_sum.wrapping_sub(record.checksum);
    let lane = channel.lanes[usize::from(partition)].clone();
    transaction.change.effects.delayed.push((lane, record.stored, false));
    Ok(())
}
