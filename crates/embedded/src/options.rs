//! What an embedded engine can be told.

use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Disk, OsDisk};
use crate::schema::PAGE_BYTES;

/// Settings of an [`crate::EmbeddedBroker`]; the defaults suit one small machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Live bytes of the database above which new records are refused as full. Hand-overs, which settle as they store,
    /// may go an eighth beyond it, so that a full engine still drains. `None`: only the disk sets a limit.
    pub max_bytes: Option<u64>,
    /// Free bytes of the file system that new records may not use: room for settling and for deleting.
    pub reserve_bytes: u64,
    /// The longest record in bytes that a channel may be declared with.
    pub max_record: usize,
    /// Unsettled records that one intake may have of one channel.
    pub max_unsettled_records: usize,
    /// Bytes of the unsettled records that one intake may have of one channel; one record may exceed it.
    pub max_unsettled_bytes: usize,
    /// How long a consumer may go on settling a lease that another one is to get.
    pub drain: Duration,
    /// Threads that read.
    pub readers: usize,
    /// The write-ahead log's usual size in bytes; it is allocated when the directory is opened.
    pub wal_bytes: u64,
    /// The page size in bytes of a database that is created now: a power of two from 512 to 65536.
    pub page_bytes: u32,
    /// A database up to this size is read and checked whole when it is opened; of a larger one only the parts the engine
    /// stands on, and records when they are read.
    pub verify_bytes: u64,
    /// Opens a damaged directory all the same: the old files are set aside, what is whole is copied to new ones, what was
    /// lost is logged.
    pub accept_damage: bool,
    /// The way to the disk; tests put faults in.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_bytes: None,
            reserve_bytes: 16 << 20,
            max_record: 16 << 20,
            max_unsettled_records: 2000,
            max_unsettled_bytes: 64 << 20,
            drain: Duration::from_secs(5),
            readers: 2,
            wal_bytes: 16 << 20,
            page_bytes: PAGE_BYTES,
            verify_bytes: 256 << 20,
            accept_damage: false,
            disk: Arc::new(OsDisk),
        }
    }
}
