//! The EventBridge pattern dialect, with positions.

use std::fmt;

use trunkline_core::config::Place;

/// A pattern: a syntax tree of predicates over the fields of an event.
#[derive(Debug, Clone)]
pub struct Pattern {}

/// The first predicate of a pattern that an event does not satisfy.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// The field in the event, for example `data.total.minor_units`.
    pub path: String,
    /// Where the predicate stands in the configuration.
    pub place: Place,
    /// What it asks for, for example `> 10000`.
    pub expected: String,
    /// What the event has, for example `4200` or `nothing`.
    pub found: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.path, self.expected, self.found)
    }
}
