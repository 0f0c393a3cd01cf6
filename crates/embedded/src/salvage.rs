//! Opening a damaged directory all the same, when the operator says so.
//!
//! What is whole is copied to new files; what is missing becomes a gap that every group counts as settled, so that the
//! rest flows. The damaged files are set aside whole, never changed and never deleted. Until the new files are complete
//! and durable nothing moves, and a crash between the two moves is made good at the next opening.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::{Connection, params};

use crate::catalog::Lane;
use crate::clock::utc;
use crate::codec::{body_checksum, record_checksum};
use crate::error::{Damage, DamageReport, OpenError};
use crate::files::Files;
use crate::load::{Loaded, load_cursor, load_leniently};
use crate::open::{create_tables, database_error, io_error};
use crate::ranges::{Ranges, Settled};
use crate::reader::{Fault, read_run};
use crate::schema::{self, Purpose};
use crate::side::{Expected, SideFile};
use crate::writer::{Ends, State, write_cursor, write_state};

/// Sets the damaged files aside and puts new ones with what is whole in their place.
pub(crate) fn salvage(files: &Files, report: &DamageReport) -> Result<(), OpenError> {
    tracing::error!(directory = %files.directory.display(), %report, "damage is accepted, what is whole is kept");
    let new = files.salvaged();
    remove_leftovers(&new.records)?;
    std::fs::create_dir_all(&new.records).map_err(io_error(&new.records, "create the directory"))?;
    let expected = SideFile::read(&files.side).unwrap_or_default();
    let (commits, highest) = copy(files, &new, &expected)?;
    SideFile::create(&new.side, commits, &highest).map_err(io_error(&new.side, "create the side file"))?;
    let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
    for path in [&new.database, &new.wal, &new.records] {
        sync(path).map_err(io_error(path, "sync"))?;
    }
    let aside = files.aside(&utc(SystemTime::now()));
    if files.records.exists() {
        std::fs::rename(&files.records, &aside).map_err(io_error(&aside, "set the damaged files aside"))?;
    }
    finish(files)?;
    tracing::error!(aside = %aside.display(), "the damaged files were set aside");
    Ok(())
}

/// Puts salvaged files in place whose damaged ones have already been set aside.
pub(crate) fn finish(files: &Files) -> Result<(), OpenError> {
    let new = files.salvaged().records;
    if !files.records.exists() && new.exists() {
        std::fs::rename(&new, &files.records).map_err(io_error(&new, "put the salvaged files in place"))?;
        let synced = File::open(&files.directory).and_then(|directory| directory.sync_all());
        synced.map_err(io_error(&files.directory, "sync"))?;
    }
    Ok(())
}

fn remove_leftovers(path: &Path) -> Result<(), OpenError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error(path, "remove an unfinished salvage")(error))
        }
        _ => Ok(()),
    }
}

/// Copies everything whole; returns the number of commits to go on from, and the highest sequence of each lane.
fn copy(old: &Files, new: &Files, expected: &Expected) -> Result<(i64, Vec<i64>), OpenError> {
    let database = database_error(&new.directory);
    create_tables(&new.records, State::first(), schema::PAGE_BYTES).map_err(&database)?;
    let mut to = schema::connect(&new.records, Purpose::Write).map_err(&database)?;
    let transaction = to.transaction().map_err(&database)?;
    let copied = match schema::connect(&old.records, Purpose::Read) {
        Ok(from) => copy_all(&from, &transaction, &load_leniently(&from), expected),
        Err(error) => {
            tracing::error!(%error, "nothing of the damaged database can be read");
            note_state(&transaction, State::first(), expected).map(|commits| (commits, Vec::new()))
        }
    };
    let copied = copied.map_err(&database)?;
    transaction.commit().map_err(&database)?;
    Ok(copied)
}

/// Writes the state from which the salvaged database goes on; numbers that the old one gave out are not given again.
fn note_state(to: &Connection, mut state: State, expected: &Expected) -> rusqlite::Result<i64> {
    state.commits = state.commits.max(expected.commits.unwrap_or(0));
    state.next_lane = state.next_lane.max(i64::try_from(expected.highest.len()).unwrap_or(0));
    state.catalog = schema::catalog_checksum(to)?;
    write_state(to, &state)?;
    Ok(state.commits)
}

fn copy_all(
    from: &Connection,
    to: &Connection,
    loaded: &Loaded,
    expected: &Expected,
) -> rusqlite::Result<(i64, Vec<i64>)> {
    let mut state = loaded.base.state;
    (state.delayed_count, state.delayed_sum) = (0, 0);
    let mut highest = Vec::new();
    for channel in &loaded.channels {
        let settings = channel.settings();
        let (age, bytes) = crate::catalog::keep_columns(&settings.keep);
        let max_record = i64::try_from(settings.max_record).unwrap_or(i64::MAX);
        let row = params![channel.id, channel.name.as_str(), channel.partitions(), age, bytes, max_record];
        to.execute("INSERT INTO channels VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row)?;
        for group in channel.groups() {
            let row = params![group.id, channel.id, group.name.as_str()];
            to.execute("INSERT INTO channel_groups VALUES (?1, ?2, ?3)", row)?;
            state.next_id = state.next_id.max(group.id + 1);
        }
        state.next_id = state.next_id.max(channel.id + 1);
        for lane in &channel.lanes {
            let index = usize::try_from(lane.id).unwrap_or(0);
            let confirmed = expected.highest.get(index).copied().flatten().unwrap_or(0);
            let groups: Vec<i64> = channel.groups().iter().map(|group| group.id).collect();
            let ends = copy_lane(from, to, lane, (channel.id, &groups), confirmed)?;
            highest.resize(highest.len().max(index + 1), 0);
            highest[index] = ends.next - 1;
            state.next_lane = state.next_lane.max(lane.id + 1);
            copy_delayed(from, to, lane.id, &mut state)?;
        }
    }
    let commits = note_state(to, state, expected)?;
    Ok((commits, highest))
}

/// Copies a lane's whole records and notes the gaps between them.
fn copy_lane(
    from: &Connection,
    to: &Connection,
    lane: &Lane,
    (channel, groups): (i64, &[i64]),
    confirmed: i64,
) -> rusqlite::Result<Ends> {
    to.execute_batch(&schema::create_lane_table(lane.channel.as_str(), lane.partition))?;
    let mut ends = Ends { first: lane.first(), next: lane.end().max(confirmed + 1), bytes: 0 };
    let mut gaps = lane.gaps.clone();
    let mut next = ends.first;
    while next < ends.next {
        let until = (next + 255).min(ends.next - 1);
        for sequence in copy_run(from, to, lane, (next, until), &mut ends.bytes)? {
            gaps.insert_range(sequence, sequence);
        }
        next = until + 1;
    }
    note_gaps(to, lane, &gaps)?;
    let row = params![
        lane.id,
        channel,
        lane.partition,
        ends.first,
        ends.next,
        ends.bytes,
        ends.checksum(lane.id, channel, lane.partition)
    ];
    to.execute("INSERT INTO lanes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", row)?;
    for group in groups {
        let settled = load_cursor(from, *group, lane.partition).ok().flatten();
        let mut settled = settled.unwrap_or_else(|| Settled::up_to(ends.first - 1));
        gaps.iter().for_each(|(first, last)| settled.insert_range(first, last));
        write_cursor(to, *group, lane.partition, &settled)?;
    }
    Ok(ends)
}

/// Copies what is whole of a short run; returns the sequences that are not. A damaged page takes its neighbours with it
/// only as far as they are on it, so after a failure each record is tried by itself.
fn copy_run(
    from: &Connection,
    to: &Connection,
    lane: &Lane,
    (first, last): (i64, i64),
    bytes: &mut i64,
) -> rusqlite::Result<Vec<i64>> {
    let mut records = Vec::new();
    let whole = read_run(from, lane, (first, last), &mut usize::MAX.clone(), &mut records);
    if whole.is_ok() {
        insert_all(to, lane, &records, bytes)?;
        return Ok((first..=last)
            .filter(|sequence| !records.iter().any(|r| r.sequence == *sequence))
            .collect());
    }
    let mut lost = Vec::new();
    for sequence in first..=last {
        records.clear();
        match read_run(from, lane, (sequence, sequence), &mut usize::MAX.clone(), &mut records) {
            Ok(()) if !records.is_empty() => insert_all(to, lane, &records, bytes)?,
            Ok(()) | Err(Fault::Damaged(_) | Fault::Failed(_)) => lost.push(sequence),
        }
    }
    Ok(lost)
}

fn insert_all(
    to: &Connection,
    lane: &Lane,
    records: &[crate::codec::Stored],
    bytes: &mut i64,
) -> rusqlite::Result<()> {
    for record in records {
        let headers = crate::codec::encode_headers(&record.headers);
        let body = body_checksum(&record.key, &headers, &record.value);
        let checksum = record_checksum(lane.id, record.sequence, record.stored, body);
        let row = params![record.sequence, record.stored, &*record.key, headers, &*record.value, checksum];
        to.prepare_cached(&lane.insert)?.execute(row)?;
        *bytes += i64::try_from(record.key.len() + record.value.len()).unwrap_or(0);
    }
    Ok(())
}

fn note_gaps(to: &Connection, lane: &Lane, gaps: &Ranges) -> rusqlite::Result<()> {
    for (first, last) in gaps.iter() {
        to.execute("INSERT INTO gaps (lane, first, last) VALUES (?1, ?2, ?3)", (lane.id, first, last))?;
        let lost = Damage::lane(lane.channel.as_str(), lane.partition, (first, last), "lost");
        tracing::error!("{lost}");
    }
    Ok(())
}

/// Copies the whole ones of a lane's delayed records, as far as they can be reached.
fn copy_delayed(from: &Connection, to: &Connection, lane: i64, state: &mut State) -> rusqlite::Result<()> {
    let query = "SELECT id, stored, \"key\", headers, value, crc FROM delayed WHERE lane = ?1 ORDER BY id";
    let Ok(mut statement) = from.prepare_cached(query) else { return Ok(()) };
    let mut rows = statement.query([lane])?;
    // The first row that can't be reached ends it.
    while let Ok(Some(row)) = rows.next() {
        let part = |column| row.get_ref(column).ok().and_then(|value| value.as_blob().ok());
        let numbers = [0, 1, 5].map(|column| row.get::<_, i64>(column).ok());
        let ([Some(id), Some(stored), Some(checksum)], (Some(key), Some(headers), Some(value))) =
            (numbers, (part(2), part(3), part(4)))
        else {
            continue;
        };
        if i64::from(record_checksum(lane, id, stored, body_checksum(key, headers, value))) != checksum {
            tracing::error!(id, "a delayed record is lost");
            continue;
        }
        // A damaged table may show a row twice.
        let new = to
            .prepare_cached("INSERT OR IGNORE INTO delayed VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![id, lane, stored, key, headers, value, checksum])?;
        if new == 1 {
            state.delayed_count += 1;
            state.delayed_sum = state.delayed_sum.wrapping_add(checksum);
        }
    }
    Ok(())
}
