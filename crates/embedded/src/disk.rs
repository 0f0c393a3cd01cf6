//! The seam between the engine and the disk, where tests put faults in.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

/// What the engine asks of the disk beside SQLite's own reading and writing.
pub trait Disk: fmt::Debug + Send + Sync + 'static {
    /// Makes the write-ahead log durable. Records are confirmed only after it returned `Ok`; after an error the engine
    /// accepts nothing more until it is opened again, because what the error left on the disk is not known.
    ///
    /// # Errors
    /// The operating system's.
    fn sync(&self, wal: &File) -> io::Result<()>;

    /// Free bytes of the file system that holds `directory`.
    ///
    /// # Errors
    /// The operating system's.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;
}

/// The operating system's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn sync(&self, wal: &File) -> io::Result<()> {
        wal.sync_data()
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(directory)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
