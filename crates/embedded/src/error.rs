//! What can go wrong when a directory is opened, and the causes that travel inside the port's errors.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why a directory could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("{} is in use by process {pid} on {host}, since {since}; stop it first", .directory.display())]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The other's process id; 0 when it could not be read.
        pid: u32,
        /// The other's host.
        host: String,
        /// When the other opened it, in UTC.
        since: String,
    },
    /// Something stored is damaged or missing. Nothing was changed.
    #[error(
        "{} is damaged: {report}; restore it from a copy, or open it with accept_damage=true: then the damaged \
         files are set aside, what is whole is kept, and what is lost is logged", .directory.display()
    )]
    Damaged {
        /// The directory.
        directory: PathBuf,
        /// What was found.
        report: DamageReport,
    },
    /// A file can't be created, read or written.
    #[error("{} can't be used: {what}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// SQLite refuses, for a reason that is not damage.
    #[error("the database in {} can't be opened", .directory.display())]
    Database {
        /// The directory.
        directory: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// Written by a newer version.
    #[error("{} has format {found}; this version reads up to {known}", .directory.display())]
    Newer {
        /// The directory.
        directory: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
}

/// All damage found in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DamageReport {
    /// Each finding; at least one.
    pub findings: Vec<Damage>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The channel, where it is known.
    pub channel: Option<String>,
    /// The partition, where it is known.
    pub partition: Option<u16>,
    /// The first and last sequence concerned, where they are known.
    pub sequences: Option<(i64, i64)>,
    /// What was found.
    pub what: String,
}

impl Damage {
    /// Damage that concerns the whole directory.
    pub(crate) fn whole(what: impl Into<String>) -> Self {
        Self { channel: None, partition: None, sequences: None, what: what.into() }
    }

    /// Damage of a channel's partition.
    pub(crate) fn lane(
        channel: &str,
        partition: u16,
        sequences: (i64, i64),
        what: impl Into<String>,
    ) -> Self {
        Self {
            channel: Some(channel.to_owned()),
            partition: Some(partition),
            sequences: Some(sequences),
            what: what.into(),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(channel) = &self.channel {
            write!(f, "channel `{channel}` ")?;
        }
        if let Some(partition) = self.partition {
            write!(f, "partition {partition} ")?;
        }
        match self.sequences {
            Some((first, last)) if first == last => write!(f, "record {first}: ")?,
            Some((first, last)) => write!(f, "records {first} to {last}: ")?,
            None => {}
        }
        f.write_str(&self.what)
    }
}

impl fmt::Display for DamageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, damage) in self.findings.iter().take(8).enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{damage}")?;
        }
        match self.findings.len().saturating_sub(8) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Why the engine could not store or read; the source inside the port's errors. It can be cloned because one failed
/// commit is the answer to many publishers.
#[derive(Debug, Clone, Error)]
pub enum EngineError {
    /// SQLite's error.
    #[error("the database failed")]
    Database(#[source] Arc<rusqlite::Error>),
    /// The operating system's error.
    #[error("the disk failed while {what}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// The limit of `max_bytes` is reached.
    #[error("the database holds {used} bytes and may hold {limit}")]
    Limit {
        /// Live bytes.
        used: u64,
        /// `max_bytes`.
        limit: u64,
    },
    /// The file system is nearly full.
    #[error("the disk has {free} bytes free, and {reserve} are kept for settling")]
    Reserve {
        /// Free bytes.
        free: u64,
        /// `reserve_bytes`.
        reserve: u64,
    },
    /// The engine stopped accepting after an earlier failure of the disk.
    #[error("the engine stopped accepting after a failure of the disk; restart it once the disk is well")]
    Stopped(#[source] Arc<EngineError>),
    /// A channel was removed while the request waited.
    #[error("channel `{0}` was removed meanwhile")]
    Removed(String),
    /// The engine was closed.
    #[error("the engine is closed")]
    Closed,
}

impl EngineError {
    /// SQLite found no room on the disk or under its page limit.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Database(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            Self::Limit { .. } | Self::Reserve { .. } => true,
            _ => false,
        }
    }
}

impl From<rusqlite::Error> for EngineError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}
