//! What the writer knows of the database: as of its last commit.

use std::collections::HashMap;

use crate::codec::checksum_of;
use crate::ranges::Settled;

/// The row of table `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) commits: i64,
    /// Checksum of the catalog.
    pub(crate) catalog: i64,
    /// The next number for a channel or group; none is given twice.
    pub(crate) next_id: i64,
    /// The next number for a lane.
    pub(crate) next_lane: i64,
    /// Delayed records, and the sum of their checksums: a row that vanished is missed.
    pub(crate) delayed_count: i64,
    pub(crate) delayed_sum: i64,
}

/// The row of a lane that changes with its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The oldest sequence kept.
    pub(crate) first: i64,
    /// The sequence of the next record.
    pub(crate) next: i64,
    /// Keys and values.
    pub(crate) bytes: i64,
}

/// The writer's copy of what the database holds beside the records.
#[derive(Debug, Default)]
pub(crate) struct Base {
    pub(crate) state: State,
    pub(crate) ends: HashMap<i64, Ends>,
    /// By group and partition.
    pub(crate) settled: HashMap<(i64, u16), Settled>,
}

impl State {
    pub(crate) fn first() -> Self {
        Self { next_id: 1, ..Self::default() }
    }

    pub(crate) fn checksum(&self, format: i64) -> i64 {
        let Self { commits, catalog, next_id, next_lane, delayed_count, delayed_sum } = *self;
        i64::from(checksum_of(&[format, commits, catalog, next_id, next_lane, delayed_count, delayed_sum]))
    }
}

impl Ends {
    pub(crate) fn new() -> Self {
        Self { first: 1, next: 1, bytes: 0 }
    }

    pub(crate) fn checksum(&self, lane: i64, channel: i64, partition: u16) -> i64 {
        i64::from(checksum_of(&[lane, channel, i64::from(partition), self.first, self.next, self.bytes]))
    }
}
