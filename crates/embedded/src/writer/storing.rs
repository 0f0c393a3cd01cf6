//! Storing records and settling receipts.

use std::sync::Arc;

use rusqlite::{ErrorCode, params};

use super::transaction::{Change, Transaction};
use super::{Writer, pruning};
use crate::catalog::Channel;
use crate::codec::record_checksum;
use crate::error::EngineError;
use crate::receipt::Token;
use crate::request::{Prepared, Store};

/// A delayed record's id is its due time in milliseconds, then this many bits that keep the order of one millisecond.
pub(super) const TIE_BITS: u32 = 20;

/// Hands out ids to delayed records.
#[derive(Debug)]
struct Delays {
    now: i64,
    tie: i64,
    first_due: Option<i64>,
}

impl Writer {
    /// Stores and settles all that a group asks for, in one transaction.
    pub(super) fn store(&mut self, stores: &[Store]) -> Result<Change, EngineError> {
        let now = self.core.clock.now();
        let mut delays = Delays { now: now.max(self.tie_floor), tie: self.tie, first_due: None };
        let change = self.transact(|transaction| {
            for store in stores {
                for record in &store.records {
                    match record.delay {
                        None => insert(transaction, record, now)?,
                        Some(_) => delays.insert(transaction, record)?,
                    }
                }
                for receipt in &store.inputs {
                    if let Some(token) = receipt.token::<Token>() {
                        settle(transaction, token);
                    }
                }
            }
            pruning::prune_settled(transaction)
        })?;
        self.tie = delays.tie;
        self.tie_floor = delays.now;
        self.next_due = self.next_due.into_iter().chain(delays.first_due).min();
        Ok(change.show_ends())
    }
}

fn insert(transaction: &mut Transaction<'_>, record: &Prepared, now: i64) -> Result<(), EngineError> {
    let place = (&record.channel, record.partition);
    let parts = (&*record.key, &*record.headers, &*record.value);
    append(transaction, place, parts, record.checksum, now)
}

/// Puts a record at a lane's end.
pub(super) fn append(
    transaction: &mut Transaction<'_>,
    (channel, partition): (&Arc<Channel>, u16),
    (key, headers, value): (&[u8], &[u8], &[u8]),
    body: u32,
    stored: i64,
) -> Result<(), EngineError> {
    let lane = &channel.lanes[usize::from(partition)];
    let removed = || EngineError::Removed(channel.name.to_string());
    let ends = transaction.ends(channel, partition).ok_or_else(removed)?;
    let sequence = ends.next;
    ends.next += 1;
    ends.bytes += i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX);
    let checksum = record_checksum(lane.id, sequence, stored, body);
    transaction
        .connection
        .prepare_cached(&lane.insert)?
        .execute(params![sequence, stored, key, headers, value, checksum])?;
    Ok(())
}

/// Receipts of an older lease, and of records settled before, are passed over.
fn settle(transaction: &mut Transaction<'_>, token: &Token) {
    let (partition, sequence) = (token.partition, token.sequence);
    if !token.group.may_settle(partition, token.epoch, sequence) {
        return;
    }
    let Some(settled) = transaction.settled(token.group.id, partition) else { return };
    if settled.insert(sequence) {
        let key = (token.group.id, partition);
        let entry = transaction.change.effects.settled.entry(key);
        entry.or_insert_with(|| (token.group.clone(), Vec::new())).1.push(sequence);
        transaction.change.settling(&token.channel, partition);
    }
}

impl Delays {
    fn insert(&mut self, transaction: &mut Transaction<'_>, record: &Prepared) -> Result<(), EngineError> {
        let lane = &record.channel.lanes[usize::from(record.partition)];
        if transaction.ends(&record.channel, record.partition).is_none() {
            return Err(EngineError::Removed(record.channel.name.to_string()));
        }
        let delay = record.delay.unwrap_or_default();
        loop {
            let id = self.next_id(delay);
            // The clock counts whole milliseconds downwards; one more and the record is never early.
            let stored = self.now;
            let checksum = record_checksum(lane.id, id, stored, record.checksum);
            let inserted = transaction
                .connection
                .prepare_cached("INSERT INTO delayed VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute(params![
                    id,
                    lane.id,
                    stored,
                    &*record.key,
                    record.headers,
                    &*record.value,
                    checksum
                ]);
            match inserted {
                // An earlier run, or another delay, came to the same id; the next one keeps the order as well.
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    let state = &mut transaction.change.state;
                    state.delayed_count += 1;
                    state.delayed_sum = state.delayed_sum.wrapping_add(i64::from(checksum));
                    transaction.change.effects.delayed.push((lane.clone(), stored, true));
                    self.first_due = self.first_due.into_iter().chain([id >> TIE_BITS]).min();
                    return Ok(());
                }
            }
        }
    }

    fn next_id(&mut self, delay: std::time::Duration) -> i64 {
        self.tie += 1;
        if self.tie >> TIE_BITS != 0 {
            // Ids of one millisecond are used up: what follows counts as stored in the next.
            self.tie = 0;
            self.now += 1;
        }
        let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX >> (TIE_BITS + 1)) + 1;
        // Ten thousand years are enough, and leave the due time whole.
        let due = self.now.saturating_add(delay).min(i64::MAX >> (TIE_BITS + 1));
        (due << TIE_BITS) | self.tie
    }
}
