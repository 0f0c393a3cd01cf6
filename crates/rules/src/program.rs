//! `when` and `transform`: VRL programs, checked against the types their events can have.

use std::time::{Duration, Instant};

/// What one run of one program may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body a transform may make, in bytes; also bounds every intermediate value.
    pub output: usize,
    /// Longest a run may take.
    pub deadline: Duration,
    /// The stopwatch. Only differences between its readings count.
    pub clock: fn() -> Instant,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output: 1024 * 1024, deadline: Duration::from_millis(50), clock: Instant::now }
    }
}
