//! Reading what a directory holds when it is opened, and proving it whole.
//!
//! Nothing is written here. What is found wrong is collected, so that an operator sees all of it at once.

mod catalog;
mod lenient;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, ErrorCode};

use crate::catalog::{Channel, Lane};
use crate::codec::{body_checksum, record_checksum};
use crate::error::Damage;
use crate::reader::{Fault, describe, read_run};
use crate::schema::{self, Purpose};
use crate::side::Expected;
use crate::writer::{Base, State};

use catalog::load_catalog;
pub(crate) use catalog::load_cursor;
pub(crate) use lenient::load_leniently;

/// A directory's content, as far as the engine keeps it in memory.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) base: Base,
    pub(crate) channels: Vec<Arc<Channel>>,
}

/// Why a directory could not be loaded.
#[derive(Debug)]
pub(crate) enum LoadError {
    /// What was found wrong; at least one.
    Damaged(Vec<Damage>),
    /// The format is newer than this version.
    Newer(i64),
    /// SQLite fails for another reason.
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for LoadError {
    fn from(error: rusqlite::Error) -> Self {
        if is_passing(&error) {
            Self::Failed(error)
        } else {
            Self::Damaged(vec![Damage::whole(describe(&error))])
        }
    }
}

/// Loads and checks a database. Content is checked whole when `verify` says so.
pub(crate) fn load(records: &Path, expected: &Expected, verify: bool) -> Result<Loaded, LoadError> {
    let connection = schema::connect(records, Purpose::Read)?;
    let snapshot = connection.unchecked_transaction()?;
    let state = load_state(&snapshot)?;
    let mut findings = Vec::new();
    if expected.commits.is_none() {
        findings.push(Damage::whole("the side file is damaged, so a lost tail could not be noticed"));
    }
    if schema::catalog_checksum(&snapshot)? != state.catalog {
        findings.push(Damage::whole("the tables of channels, groups and lanes do not match their checksum"));
        return Err(LoadError::Damaged(findings));
    }
    let loaded = load_catalog(&snapshot, state)?;
    check_tables(&snapshot, &loaded, &mut findings)?;
    check_tail(&loaded, expected, &mut findings);
    load_delayed(&snapshot, &loaded, &mut findings)?;
    if verify && findings.is_empty() {
        check_pages(&snapshot, &mut findings)?;
        check_records(&snapshot, &loaded, &mut findings)?;
    }
    if findings.is_empty() { Ok(loaded) } else { Err(LoadError::Damaged(findings)) }
}

/// The row of table `state`; its checksum proves the numbers that everything else is compared with.
pub(crate) fn load_state(connection: &Connection) -> Result<State, LoadError> {
    let query =
        "SELECT format, commits, catalog, next_id, next_lane, delayed_count, delayed_sum, crc FROM state";
    let (format, state, checksum) = connection.query_row(query, [], |row| {
        let state = State {
            commits: row.get(1)?,
            catalog: row.get(2)?,
            next_id: row.get(3)?,
            next_lane: row.get(4)?,
            delayed_count: row.get(5)?,
            delayed_sum: row.get(6)?,
        };
        Ok((row.get::<_, i64>(0)?, state, row.get::<_, i64>(7)?))
    })?;
    if state.checksum(format) != checksum {
        return Err(LoadError::Damaged(vec![Damage::whole("the table `state` does not match its checksum")]));
    }
    if format > schema::FORMAT {
        return Err(LoadError::Newer(format));
    }
    Ok(state)
}

/// Tables that are other than the engine made them can't be trusted to hold what they should.
fn check_tables(
    connection: &Connection,
    loaded: &Loaded,
    findings: &mut Vec<Damage>,
) -> Result<(), LoadError> {
    let fixed = schema::TABLES.iter().map(|(name, sql)| ((*name).to_owned(), (*sql).to_owned()));
    let mut expected: BTreeMap<String, String> = fixed.collect();
    for channel in &loaded.channels {
        for lane in &channel.lanes {
            let name = channel.name.as_str();
            let (table, sql) =
                (schema::lane_table(name, lane.partition), schema::create_lane_table(name, lane.partition));
            expected.insert(table, sql);
        }
    }
    let mut statement = connection.prepare("SELECT type, name, sql FROM sqlite_master")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
    })?;
    for row in rows {
        let (kind, name, sql) = row?;
        let same = expected.remove(&name).is_some_and(|expected| kind == "table" && sql == Some(expected));
        // SQLite's own tables of statistics do no harm.
        if !same && !name.starts_with("sqlite_stat") {
            findings.push(Damage::whole(format!("{kind} `{name}` is not what the engine created")));
        }
    }
    findings.extend(expected.keys().map(|name| Damage::whole(format!("table `{name}` is missing"))));
    Ok(())
}

/// The side file knows what was confirmed: a database that holds less has lost its tail.
fn check_tail(loaded: &Loaded, expected: &Expected, findings: &mut Vec<Damage>) {
    let commits = loaded.base.state.commits;
    if let Some(confirmed) = expected.commits.filter(|confirmed| *confirmed > commits) {
        let lost = confirmed - commits;
        findings.push(Damage::whole(format!("the last {lost} of {confirmed} confirmed commits are missing")));
    }
    for channel in &loaded.channels {
        for lane in &channel.lanes {
            let index = usize::try_from(lane.id).unwrap_or(usize::MAX);
            let last = lane.end() - 1;
            let of =
                |first, last, what| Damage::lane(channel.name.as_str(), lane.partition, (first, last), what);
            match expected.highest.get(index).copied().flatten() {
                Some(highest) if highest > last => {
                    findings.push(of(last + 1, highest, "they were confirmed and are missing"));
                }
                Some(_) => {}
                None => findings.push(of(last + 1, last + 1, "the side file's entry is missing or damaged")),
            }
        }
    }
}

/// Delayed records are few and have no neighbours that would miss them, so all are checked, always.
fn load_delayed(
    connection: &Connection,
    loaded: &Loaded,
    findings: &mut Vec<Damage>,
) -> Result<(), LoadError> {
    let lanes = loaded.channels.iter().flat_map(|channel| &channel.lanes);
    let lanes: BTreeMap<i64, &Arc<Lane>> = lanes.map(|lane| (lane.id, lane)).collect();
    let mut statement =
        connection.prepare("SELECT id, lane, stored, \"key\", headers, value, crc FROM delayed")?;
    let mut rows = statement.query([])?;
    let (mut count, mut sum) = (0_i64, 0_i64);
    while let Some(row) = rows.next()? {
        let (id, lane, stored): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let part = |column| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
        let checksum = record_checksum(lane, id, stored, body_checksum(part(3)?, part(4)?, part(5)?));
        match lanes.get(&lane) {
            Some(lane) if row.get::<_, i64>(6)? == i64::from(checksum) => lane.delayed_added(stored),
            _ => findings.push(Damage::whole(format!("delayed record {id} does not match its checksum"))),
        }
        count += 1;
        sum = sum.wrapping_add(i64::from(checksum));
    }
    let State { delayed_count, delayed_sum, .. } = loaded.base.state;
    if (count, sum) != (delayed_count, delayed_sum) && findings.is_empty() {
        findings.push(Damage::whole(format!("of {delayed_count} delayed records {count} are there")));
    }
    Ok(())
}

fn check_pages(connection: &Connection, findings: &mut Vec<Damage>) -> Result<(), LoadError> {
    let mut statement = connection.prepare("PRAGMA quick_check(16)")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    for row in rows {
        let text = row?;
        if text != "ok" {
            findings.push(Damage::whole(text.replace('\n', " ")));
        }
    }
    Ok(())
}

fn check_records(
    connection: &Connection,
    loaded: &Loaded,
    findings: &mut Vec<Damage>,
) -> Result<(), LoadError> {
    for channel in &loaded.channels {
        for lane in &channel.lanes {
            let mut first = lane.first();
            let last = lane.end() - 1;
            let mut records = Vec::new();
            while first <= last {
                let mut left = 1 << 20;
                let until = last.min(first + 999);
                match read_run(connection, lane, (first, until), &mut left, &mut records) {
                    Ok(()) => {}
                    Err(Fault::Damaged(what)) => {
                        findings.push(Damage::lane(
                            channel.name.as_str(),
                            lane.partition,
                            (first, last),
                            what,
                        ));
                        break;
                    }
                    Err(Fault::Failed(error)) => return Err(error.into()),
                }
                first = records.last().filter(|_| left == 0).map_or(until, |record| record.sequence) + 1;
                records.clear();
            }
        }
    }
    Ok(())
}

fn damaged(what: impl Into<String>) -> LoadError {
    LoadError::Damaged(vec![Damage::whole(what)])
}

/// Errors that say nothing about what is stored. A read beyond the end of a file does.
fn is_passing(error: &rusqlite::Error) -> bool {
    let short_read = matches!(error.sqlite_error().map(|error| error.extended_code), Some(522 | 8458));
    let passing = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::DiskFull
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
        )
    );
    passing && !short_read
}
