//! The side file: what the database must hold, kept outside the database.
//!
//! SQLite drops everything after a flipped bit in its write-ahead log without a word, because it can't tell it from a
//! write that a crash cut short. This file can: after each commit, and before its records are confirmed, the number of
//! commits and the highest sequence of each partition touched are written here. A database that holds less has lost
//! something.
//!
//! It is written after the commit is durable, so it is never ahead of a whole database. It reaches the operating system
//! before the confirmation, which is all that matters when a process is killed; it is made durable a moment later, so
//! that a commit costs one flush of the disk and not two. What could hide in that moment is a loss of power together
//! with damage to what the disk had already confirmed.
//!
//! Layout: two headers of 20 bytes at 0 and 512, from 1024 two entries of 16 bytes per lane. Commits write the two by
//! turns, so a torn write leaves the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crc32c::crc32c;

const MAGIC: u64 = u64::from_le_bytes(*b"TRNKSIDE");
const HEADER_STEP: u64 = 512;
const ENTRIES_AT: u64 = 1024;
const ENTRY: u64 = 16;

/// What a side file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Commits that were confirmed; `None` when both headers are damaged.
    pub(crate) commits: Option<i64>,
    /// Per lane the highest sequence; `None` when both entries are damaged.
    pub(crate) highest: Vec<Option<i64>>,
    /// Something was damaged whose other copy is whole.
    pub(crate) blemished: bool,
}

/// An open side file.
#[derive(Debug)]
pub(crate) struct SideFile {
    file: File,
}

impl SideFile {
    /// Reads what the file says.
    pub(crate) fn read(path: &Path) -> io::Result<Expected> {
        Ok(Self::parse(&std::fs::read(path)?))
    }

    /// What a file with these bytes says.
    pub(crate) fn parse(bytes: &[u8]) -> Expected {
        let mut expected = Expected::default();
        let headers = [0, HEADER_STEP].map(|at| read_header(bytes, at));
        expected.commits = headers.into_iter().flatten().max();
        expected.blemished = headers.iter().any(Option::is_none);
        let lanes = (bytes.len() as u64).saturating_sub(ENTRIES_AT) / (2 * ENTRY);
        for lane in 0..lanes {
            let entries = [0, 1].map(|copy| read_entry(bytes, lane, copy));
            expected.blemished |= entries.iter().any(Option::is_none);
            expected.highest.push(entries.into_iter().flatten().max());
        }
        expected
    }

    /// Writes a new file, durably, over whatever is there.
    pub(crate) fn create(path: &Path, commits: i64, highest: &[i64]) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let side = Self { file };
        side.write_header(commits, 0)?;
        side.write_header(commits, 1)?;
        for (lane, highest) in (0..).zip(highest) {
            side.add_lane(lane, *highest)?;
        }
        side.file.sync_all()?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(side)
    }

    /// Opens an existing file for writing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().read(true).write(true).open(path)? })
    }

    /// Makes room for a lane; needs [`Self::sync`].
    pub(crate) fn add_lane(&self, lane: i64, highest: i64) -> io::Result<()> {
        self.write_entry(lane, highest, 0)?;
        self.write_entry(lane, highest, 1)
    }

    /// Notes a commit with the highest sequence of each lane that it touched.
    pub(crate) fn note(&self, commits: i64, highest: impl Iterator<Item = (i64, i64)>) -> io::Result<()> {
        let copy = commits.unsigned_abs() % 2;
        for (lane, highest) in highest {
            self.write_entry(lane, highest, copy)?;
        }
        self.write_header(commits, copy)
    }

    /// Makes what was noted durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write_header(&self, commits: i64, copy: u64) -> io::Result<()> {
        let mut header = [0; 20];
        header[..8].copy_from_slice(&MAGIC.to_le_bytes());
        header[8..16].copy_from_slice(&commits.to_le_bytes());
        let checksum = crc32c(&header[..16]);
        header[16..].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(&header, copy * HEADER_STEP)
    }

    fn write_entry(&self, lane: i64, highest: i64, copy: u64) -> io::Result<()> {
        let lane = lane.unsigned_abs();
        let mut entry = [0; ENTRY as usize];
        entry[..8].copy_from_slice(&highest.to_le_bytes());
        entry[8..12].copy_from_slice(&lane_mark(lane));
        let checksum = crc32c(&entry[..12]);
        entry[12..].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(&entry, entry_at(lane, copy))
    }
}

fn entry_at(lane: u64, copy: u64) -> u64 {
    ENTRIES_AT + (2 * lane + copy) * ENTRY
}

/// The low half of the lane's number tells an entry that strayed.
fn lane_mark(lane: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = lane.to_le_bytes();
    [a, b, c, d]
}

fn read_header(bytes: &[u8], at: u64) -> Option<i64> {
    let at = usize::try_from(at).ok()?;
    let header = bytes.get(at..at + 20)?;
    let (body, checksum) = header.split_at(16);
    let whole = crc32c(body).to_le_bytes() == checksum && body[..8] == MAGIC.to_le_bytes();
    whole.then(|| body[8..].try_into().ok().map(i64::from_le_bytes))?
}

fn read_entry(bytes: &[u8], lane: u64, copy: u64) -> Option<i64> {
    let at = usize::try_from(entry_at(lane, copy)).ok()?;
    let entry = bytes.get(at..at + ENTRY as usize)?;
    let (body, checksum) = entry.split_at(12);
    let whole = crc32c(body).to_le_bytes() == checksum && body[8..] == lane_mark(lane);
    whole.then(|| body[..8].try_into().ok().map(i64::from_le_bytes))?
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_latest_note_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("side");
        let side = SideFile::create(&path, 0, &[0, 0, 0]).unwrap();
        side.note(1, [(1, 10)].into_iter()).unwrap();
        side.note(2, [(1, 12), (2, 5)].into_iter()).unwrap();
        let expected = SideFile::read(&path).unwrap();
        assert_eq!(expected.commits, Some(2));
        assert_eq!(expected.highest, [Some(0), Some(12), Some(5)]);
        assert!(!expected.blemished);
    }

    #[test]
    fn no_single_flipped_bit_raises_what_is_expected_or_goes_unseen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("side");
        let side = SideFile::create(&path, 6, &[3, 9]).unwrap();
        side.note(7, [(0, 4)].into_iter()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let used = (0..20).chain(512..532).chain(1024..whole.len());
        for bit in used.flat_map(|byte| byte * 8..byte * 8 + 8) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            let expected = SideFile::read(&path).unwrap();
            assert!(expected.blemished, "bit {bit}");
            assert!((6..=7).contains(&expected.commits.unwrap()), "bit {bit}");
            assert!((3..=4).contains(&expected.highest[0].unwrap()), "bit {bit}");
            assert_eq!(expected.highest[1], Some(9), "bit {bit}");
        }
    }
}
