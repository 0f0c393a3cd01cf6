//! The journey of every event: what the `journey` channel says, stored so that it can be asked.

mod find;
mod insert;
mod steps;

use chrono::{DateTime, Utc};
use trunkline_core::journey::{JourneyRecord, Step};

/// A record of the `journey` channel and what it is known by, together with its time: two numbers that it has whenever it
/// is handed out, for example where it stood. They tell whether it was taken in before.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyEntry {
    /// The first number, for example the channel's partition.
    pub partition: u16,
    /// The second number, for example the record's offset in it.
    pub offset: i64,
    /// The record.
    pub record: JourneyRecord,
}

/// Which events are looked for: those that fit everything given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The whole id.
    pub id: Option<String>,
    /// What the id begins with.
    pub id_prefix: Option<String>,
    /// The source.
    pub source: Option<String>,
    /// The type.
    pub kind: Option<String>,
    /// A step was taken at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// A step was taken before this time.
    pub until: Option<DateTime<Utc>>,
}

/// An event of which the store knows steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSummary {
    /// The source.
    pub source: String,
    /// The id.
    pub id: String,
    /// The type.
    pub kind: String,
    /// When the first of its steps was taken that fit the filter.
    pub first: DateTime<Utc>,
    /// When the last was.
    pub last: DateTime<Utc>,
    /// What the last was.
    pub last_step: Step,
}
