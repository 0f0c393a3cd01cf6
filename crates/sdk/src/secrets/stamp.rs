//! Whether a file still looks as it did when it was read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// Two writes within the file system's clock tick leave the same time behind. A file that was written this shortly before
/// it was read may have been written again unnoticed, so its stamp proves nothing.
const TOO_FRESH: Duration = Duration::from_secs(2);

/// Time of change, size and inode of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
    trusted: bool,
}

impl Stamp {
    /// Taken now, just before the file is read.
    pub(super) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok();
        let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
        let trusted = age.is_some_and(|age| age > TOO_FRESH);
        Self { modified, size: metadata.len(), inode: metadata.ino(), trusted }
    }

    /// Whether the file is surely the one that was stamped.
    pub(super) fn still_holds(&self, now: &Metadata) -> bool {
        self.trusted && Self { trusted: true, ..Self::of(now) } == *self
    }
}
