//! Threads that read records, each with a connection of its own, beside the writer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use tokio::sync::oneshot;

use crate::catalog::Lane;
use crate::codec::{Stored, body_checksum, decode_headers, record_checksum};
use crate::core::Core;
use crate::error::EngineError;
use crate::group::Plan;

/// What a reader is asked for.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) slots: Vec<SlotPlan>,
    /// Bytes of all records together; at least one record is read per slot.
    pub(crate) max_bytes: usize,
    pub(crate) reply: oneshot::Sender<Result<Vec<Part>, EngineError>>,
}

/// What to read of one channel.
#[derive(Debug)]
pub(crate) struct SlotPlan {
    pub(crate) slot: usize,
    pub(crate) max_bytes: usize,
    pub(crate) plans: Vec<Plan>,
}

/// What was read of one partition. Where the lane turned out to be damaged, it says so itself.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) slot: usize,
    pub(crate) lane: Arc<Lane>,
    pub(crate) epoch: u64,
    pub(crate) records: Vec<Stored>,
}

/// Why a run of records could not be read whole.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A record is missing or not what was stored.
    Damaged(String),
    /// The database can't be asked.
    Failed(rusqlite::Error),
}

/// Serves reads until the queue is closed.
pub(crate) fn run(core: &Core, connection: &Connection) {
    while !core.reads.is_closed() {
        if !core.reads.wait(Duration::from_secs(3600)) {
            continue;
        }
        let mut one = true;
        for queued in core.reads.take_while(|_| std::mem::take(&mut one)) {
            let read = queued.item;
            let parts = read_all(core, connection, read.slots, read.max_bytes);
            if read.reply.send(parts).is_err() {
                tracing::trace!("nobody waits for the records any more");
            }
        }
    }
}

fn read_all(
    core: &Core,
    connection: &Connection,
    slots: Vec<SlotPlan>,
    max_bytes: usize,
) -> Result<Vec<Part>, EngineError> {
    // One snapshot, so that a missing record can be told from one that was just deleted.
    let snapshot = connection.unchecked_transaction()?;
    let mut parts = Vec::new();
    let mut left = max_bytes;
    for slot in slots {
        let mut slot_left = slot.max_bytes.min(left);
        for plan in slot.plans {
            if slot_left == 0 {
                break;
            }
            let before = slot_left;
            let records = read_lane(core, &snapshot, &plan, &mut slot_left)?;
            left = left.saturating_sub(before - slot_left);
            parts.push(Part { slot: slot.slot, lane: plan.lane, epoch: plan.epoch, records });
        }
        if left == 0 {
            break;
        }
    }
    // Nothing was written. SQLite may refuse to commit after it met damage, which has been noted by then.
    match snapshot.rollback() {
        Err(error) if !is_damage(&error) => Err(error.into()),
        _ => Ok(parts),
    }
}

fn read_lane(
    core: &Core,
    connection: &Connection,
    plan: &Plan,
    left: &mut usize,
) -> Result<Vec<Stored>, EngineError> {
    let mut records = Vec::new();
    for &(first, last) in &plan.runs {
        match read_run(connection, &plan.lane, (first, last), left, &mut records) {
            Ok(()) => {}
            Err(Fault::Damaged(detail)) => core.note_damage(&plan.lane, &detail),
            Err(Fault::Failed(error)) if is_damage(&error) => core.note_damage(&plan.lane, &describe(&error)),
            Err(Fault::Failed(error)) if is_removed(connection, &plan.lane) => {
                tracing::debug!(%error, "the channel was removed while it was read");
            }
            Err(Fault::Failed(error)) => return Err(error.into()),
        }
        if *left == 0 || plan.lane.damage().is_some() {
            break;
        }
    }
    Ok(records)
}

/// Reads a run of sequences, both ends inside, until `left` bytes are used up (at least one record). What is there
/// must be whole and without a gap, except for what was deleted behind the groups or accepted as lost.
pub(crate) fn read_run(
    connection: &Connection,
    lane: &Lane,
    (first, last): (i64, i64),
    left: &mut usize,
    records: &mut Vec<Stored>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare_cached(&lane.select).map_err(Fault::Failed)?;
    let mut rows = statement.query((first, last)).map_err(Fault::Failed)?;
    let mut expected = first;
    while let Some(row) = rows.next().map_err(Fault::Failed)? {
        let record = decode(lane, row)?;
        if record.sequence != expected {
            check_missing(connection, lane, expected, record.sequence - 1)?;
        }
        expected = record.sequence + 1;
        *left = left.saturating_sub(record.value.len() + record.key.len() + 64);
        records.push(record);
        if *left == 0 {
            return Ok(());
        }
    }
    if expected <= last {
        check_missing(connection, lane, expected, last)?;
    }
    Ok(())
}

fn decode(lane: &Lane, row: &Row<'_>) -> Result<Stored, Fault> {
    let sequence: i64 = row.get(0).map_err(Fault::Failed)?;
    let damaged =
        |what: &str| Fault::Damaged(format!("partition {}, record {sequence}: {what}", lane.partition));
    let (Ok(stored), Ok(checksum)) = (row.get::<_, i64>(1), row.get::<_, i64>(5)) else {
        return Err(damaged("a column has another type than was stored"));
    };
    let part = |column| row.get_ref(column).ok().and_then(|value| value.as_blob().ok());
    let (Some(key), Some(headers), Some(value)) = (part(2), part(3), part(4)) else {
        return Err(damaged("a column has another type than was stored"));
    };
    let body = body_checksum(key, headers, value);
    if i64::from(record_checksum(lane.id, sequence, stored, body)) != checksum {
        return Err(damaged("its checksum does not match its content"));
    }
    let (key, headers, value) = gather(key, headers, value);
    let headers = decode_headers(headers).ok_or_else(|| damaged("its headers can't be read"))?;
    Ok(Stored { sequence, stored, key, headers, value })
}

/// One allocation for all three.
pub(crate) fn gather(key: &[u8], headers: &[u8], value: &[u8]) -> (Bytes, Bytes, Bytes) {
    let mut all = Bytes::from([key, headers, value].concat());
    let key = all.split_to(key.len());
    let headers = all.split_to(headers.len());
    (key, headers, all)
}

/// Sequences that are not there must be behind the oldest kept in this very snapshot, or accepted as lost.
fn check_missing(connection: &Connection, lane: &Lane, first: i64, last: i64) -> Result<(), Fault> {
    let kept_from: Option<i64> = connection
        .prepare_cached("SELECT first FROM lanes WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([lane.id], |row| row.get(0)).optional())
        .map_err(Fault::Failed)?;
    let kept_from = kept_from.unwrap_or(i64::MAX);
    let mut next = first.max(kept_from);
    while next <= last {
        match lane.gaps.end_of(next) {
            Some(end) => next = end + 1,
            None => {
                let partition = lane.partition;
                return Err(Fault::Damaged(format!(
                    "partition {partition}, record {next} of {first} to {last} is missing"
                )));
            }
        }
    }
    Ok(())
}

/// Whether an error of SQLite means that what is stored is damaged.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch)
    )
}

/// The error with its causes, in one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn is_removed(connection: &Connection, lane: &Lane) -> bool {
    let row = connection.query_row("SELECT 1 FROM lanes WHERE id = ?1", [lane.id], |_| Ok(()));
    matches!(row, Err(rusqlite::Error::QueryReturnedNoRows))
}
