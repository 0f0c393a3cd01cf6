//! A look at a directory without taking it, also while a process has it open.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};
use trunkline_broker::{ChannelSpec, Ensure, Examine, Setting};
use trunkline_core::{Examination, Fault};

use crate::files::Files;
use crate::options::Options;
use crate::schema;
use crate::side::SideFile;

/// Examines the directory of an embedded engine.
#[derive(Debug)]
pub struct EmbeddedExaminer {
    directory: PathBuf,
    options: Options,
}

impl EmbeddedExaminer {
    /// An examiner of a directory, which need not be there.
    pub fn new(directory: &Path, options: Options) -> Self {
        Self { directory: directory.to_owned(), options }
    }
}

#[async_trait]
impl Examine for EmbeddedExaminer {
    async fn examine(&self, specs: &[ChannelSpec], _mode: Ensure, found: &mut Examination<Setting>) {
        found.written.push(self.directory.clone());
        let (directory, options, specs) = (self.directory.clone(), self.options.clone(), specs.to_vec());
        let looked = tokio::task::spawn_blocking(move || {
            let mut found = Examination::default();
            look(&directory, &options, &specs, &mut found);
            found
        });
        match looked.await {
            Ok(mut looked) => {
                found.findings.append(&mut looked.findings);
                found.unseen.append(&mut looked.unseen);
                found.seen.append(&mut looked.seen);
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

fn look(directory: &Path, options: &Options, specs: &[ChannelSpec], found: &mut Examination<Setting>) {
    let shown = directory.display();
    if !writable(directory, found) {
        return;
    }
    if !directory.exists() {
        return found.seen(format!("{shown} is not there yet; the first start makes it"));
    }
    let files = Files::of(directory);
    let aside =
        "restore the directory from a copy, or start with `accept_damage=true`, which keeps what is whole";
    match (SideFile::read(&files.side), files.database.exists()) {
        (Err(error), false) if error.kind() == io::ErrorKind::NotFound => {
            return found.seen(format!("{shown} is empty; the first start fills it"));
        }
        (Err(error), _) => {
            let problem = format!(
                "{} can't be read, so a lost tail could not be noticed: {error}",
                files.side.display()
            );
            return found.error(Setting::Address, Fault::Unsafe, problem, aside);
        }
        (Ok(_), false) => {
            let problem = format!("{} is missing, and with it every record", files.database.display());
            return found.error(Setting::Address, Fault::Unsafe, problem, aside);
        }
        (Ok(expected), true) if expected.commits.is_none() => {
            let problem = format!("{} is damaged in both its copies", files.side.display());
            found.error(Setting::Address, Fault::Unsafe, problem, aside);
        }
        (Ok(_), true) => {}
    }
    found.unseen("whether every record is whole: a start proves that");
    if let Some(most) = options.max_bytes {
        judge_size(&files, most, found);
    }
    // Reading needs both files beside the database, and makes neither.
    if !files.wal.exists() || !files.records.join("records.db-shm").exists() {
        return found.unseen(format!("what {shown} holds: its log is not there, which a start judges"));
    }
    match stored(&files) {
        Ok((format, _)) if format > schema::FORMAT => {
            let problem = format!("{shown} has format {format}; this version reads up to {}", schema::FORMAT);
            found.error(
                Setting::Address,
                Fault::Version,
                problem,
                "run the version that wrote it, or a newer one",
            );
        }
        Ok((_, channels)) => judge_channels(specs, &channels, found),
        Err(error) => found.unseen(format!("what {shown} holds: {error}")),
    }
}

/// Whether the directory, or the nearest one above it that is there, may be written to.
fn writable(directory: &Path, found: &mut Examination<Setting>) -> bool {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let problem = if !there.is_dir() {
        format!("{} is no directory", there.display())
    } else if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        format!("{} can't be written to: {error}", there.display())
    } else {
        return true;
    };
    let remedy = "give it to the user that the bus runs as, or name another directory in `broker`";
    found.error(Setting::Address, Fault::Permission, problem, remedy);
    false
}

fn judge_size(files: &Files, most: u64, found: &mut Examination<Setting>) {
    let size = std::fs::metadata(&files.database).map_or(0, |metadata| metadata.len());
    if size >= most / 10 * 9 {
        let problem = format!(
            "the database has {size} bytes, and `max_bytes` is {most}: new events are refused when that is reached"
        );
        let remedy = "raise `max_bytes`, or find out what waits with `trunkline destinations`";
        found.warning(Setting::Address, Fault::Unsafe, problem, remedy);
    }
}

/// The format, and the partitions of each channel.
fn stored(files: &Files) -> rusqlite::Result<(i64, HashMap<String, i64>)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&files.database, flags)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(std::time::Duration::from_secs(2))?;
    let format = connection.query_row("SELECT format FROM state", [], |row| row.get(0))?;
    let mut statement = connection.prepare("SELECT name, partitions FROM channels")?;
    let channels = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((format, channels.collect::<rusqlite::Result<_>>()?))
}

fn judge_channels(specs: &[ChannelSpec], stored: &HashMap<String, i64>, found: &mut Examination<Setting>) {
    let mut there = 0;
    for spec in specs {
        let Some(partitions) = stored.get(spec.name.as_str()) else { continue };
        there += 1;
        if *partitions != i64::from(spec.partitions) {
            let wanted = spec.partitions;
            let problem =
                format!("channel `{}` has {partitions} partitions, but {wanted} are configured", spec.name);
            let remedy =
                "write what exists, or follow \"Changing the number of partitions\" in docs/operations.md";
            found.error(Setting::Partitions, Fault::Differs, problem, remedy);
        }
    }
    found.seen(format!("{there} of {} channels are there", specs.len()));
}
