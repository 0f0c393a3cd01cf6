//! A copy of a directory, also while a process has it open.
//!
//! The side file is copied first and says how far the database must reach; the database is copied later, as one
//! transaction sees it, and so reaches at least as far.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::OpenError;
use crate::files::Files;
use crate::side::SideFile;

/// How long a writer may keep us from reading.
const BUSY: Duration = Duration::from_secs(10);
/// How often the side file is read while its writer is in the middle of it, and the pause between.
const TRIES: u32 = 50;
const AGAIN: Duration = Duration::from_millis(5);

/// Copies the directory of an engine to `into`, a directory that need not be there, which opens as one of its own. The
/// copy holds what was confirmed when this was called, and is on the disk when it returns.
///
/// # Errors
/// There is no engine's directory, or one that is damaged; `into` can't be written to.
pub fn back_up(directory: &Path, into: &Path) -> Result<(), OpenError> {
    let (from, to) = (Files::of(directory), Files::of(into));
    let failed = |path: &Path, what: &'static str| {
        let path = path.to_owned();
        move |source| OpenError::Io { path, what, source }
    };
    let side = side(&from).map_err(failed(&from.side, "read what the database must hold"))?;
    std::fs::create_dir_all(&to.records).map_err(failed(&to.records, "create the directory"))?;
    std::fs::write(&to.side, side).map_err(failed(&to.side, "write the copy"))?;
    copy(&from, &to).map_err(|source| OpenError::Database { directory: directory.to_owned(), source })?;
    for path in [&to.side, &to.database, &to.records, &to.directory] {
        File::open(path).and_then(|file| file.sync_all()).map_err(failed(path, "make the copy durable"))?;
    }
    Ok(())
}

/// The side file's bytes at a moment when all of them are whole.
fn side(from: &Files) -> io::Result<Vec<u8>> {
    for _ in 0..TRIES {
        let bytes = std::fs::read(&from.side)?;
        let says = SideFile::parse(&bytes);
        if says.commits.is_some() && !says.blemished {
            return Ok(bytes);
        }
        std::thread::sleep(AGAIN);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged"))
}

fn copy(from: &Files, to: &Files) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&from.database, flags)?;
    // What stands in the log is its owner's to carry over, or the next start's to judge.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY)?;
    connection.execute("VACUUM INTO ?1", [to.database.to_string_lossy()])?;
    Ok(())
}
