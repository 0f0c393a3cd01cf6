//! The tables, and connections to them.

use std::path::Path;

use crate::files::DATABASE;

use crc32c::crc32c_append;
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// Raised whenever the tables or what they hold change their meaning.
pub(crate) const FORMAT: i64 = 1;
/// Larger pages hold 1 KiB records with less waste, smaller ones rewrite less per commit; measured best.
pub(crate) const PAGE_BYTES: u32 = 8192;

/// The fixed tables, by name. Their text is compared with what the database says it has.
pub(crate) const TABLES: &[(&str, &str)] = &[
    (
        "state",
        "CREATE TABLE state (id INTEGER PRIMARY KEY, format INTEGER NOT NULL, commits INTEGER NOT NULL, \
         catalog INTEGER NOT NULL, next_id INTEGER NOT NULL, next_lane INTEGER NOT NULL, \
         delayed_count INTEGER NOT NULL, delayed_sum INTEGER NOT NULL, crc INTEGER NOT NULL)",
    ),
    (
        "channels",
        "CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL, partitions INTEGER NOT NULL, \
         keep_ms INTEGER, keep_bytes INTEGER, max_record INTEGER NOT NULL)",
    ),
    (
        "channel_groups",
        "CREATE TABLE channel_groups (id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, name TEXT NOT NULL)",
    ),
    (
        "lanes",
        "CREATE TABLE lanes (id INTEGER PRIMARY KEY, channel INTEGER NOT NULL, \"partition\" INTEGER NOT NULL, \
         first INTEGER NOT NULL, next INTEGER NOT NULL, bytes INTEGER NOT NULL, crc INTEGER NOT NULL)",
    ),
    (
        "cursors",
        "CREATE TABLE cursors (id INTEGER PRIMARY KEY, prefix INTEGER NOT NULL, beyond BLOB NOT NULL, \
         crc INTEGER NOT NULL)",
    ),
    (
        "delayed",
        "CREATE TABLE delayed (id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, stored INTEGER NOT NULL, \
         \"key\" BLOB NOT NULL, headers BLOB NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL)",
    ),
    (
        "gaps",
        "CREATE TABLE gaps (id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, first INTEGER NOT NULL, \
         last INTEGER NOT NULL)",
    ),
];

/// The name of a lane's own table: `events.0` for the first partition of `events`. Channel names need no escaping.
pub(crate) fn lane_table(channel: &str, partition: u16) -> String {
    format!("{channel}.{partition}")
}

/// The statement that creates a lane's table.
pub(crate) fn create_lane_table(channel: &str, partition: u16) -> String {
    format!(
        "CREATE TABLE \"{}\" (sequence INTEGER PRIMARY KEY, stored INTEGER NOT NULL, \"key\" BLOB NOT NULL, \
         headers BLOB NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL)",
        lane_table(channel, partition)
    )
}

/// A group's row in a partition.
pub(crate) fn cursor_id(group: i64, partition: u16) -> i64 {
    (group << 16) | i64::from(partition)
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The first one, which creates the database with pages of so many bytes.
    Create { page_bytes: u32 },
    /// The writer's.
    Write,
    /// A reader's, or a look at what may be damaged: changes nothing.
    Read,
}

/// Opens a connection; a database that is not there is created only for [`Purpose::Create`] and by the writer.
///
/// SQLite's own syncing is at `NORMAL`: it orders the log against its checkpoints. Making each commit durable is the
/// engine's, so that the next group can be written while the disk is busy with the last, and so that tests can let it
/// fail. No connection checkpoints when it is closed: that would delete the log before its loss could be noticed.
pub(crate) fn connect(records: &Path, purpose: Purpose) -> rusqlite::Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, purpose != Purpose::Read);
    let connection = Connection::open_with_flags(records.join(DATABASE), flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    match purpose {
        Purpose::Create { .. } | Purpose::Write => {
            if let Purpose::Create { page_bytes } = purpose {
                connection.pragma_update(None, "page_size", page_bytes)?;
            }
            let _: String = connection.query_row("PRAGMA journal_mode=WAL", [], |row| row.get(0))?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            connection.pragma_update(None, "cache_size", -4096)?;
            connection.set_prepared_statement_cache_capacity(256);
        }
        Purpose::Read => {
            connection.pragma_update(None, "query_only", true)?;
            connection.pragma_update(None, "cache_size", -1024)?;
            connection.set_prepared_statement_cache_capacity(64);
        }
    }
    Ok(connection)
}

/// Checksum over everything that was declared, so that a row that changed or vanished is noticed.
pub(crate) fn catalog_checksum(connection: &Connection) -> rusqlite::Result<i64> {
    let mut checksum = 0;
    for query in [
        "SELECT id, name, partitions, keep_ms, keep_bytes, max_record FROM channels ORDER BY id",
        "SELECT id, channel, name FROM channel_groups ORDER BY id",
        "SELECT id, channel, \"partition\" FROM lanes ORDER BY id",
        "SELECT id, lane, first, last FROM gaps ORDER BY id",
    ] {
        let mut statement = connection.prepare(query)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                checksum = match row.get_ref(column)? {
                    ValueRef::Null => crc32c_append(checksum, b"null"),
                    ValueRef::Integer(number) => crc32c_append(checksum, &number.to_le_bytes()),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => crc32c_append(checksum, bytes),
                    ValueRef::Real(number) => crc32c_append(checksum, &number.to_le_bytes()),
                };
            }
            checksum = crc32c_append(checksum, b"\n");
        }
        checksum = crc32c_append(checksum, query.as_bytes());
    }
    Ok(i64::from(checksum))
}
