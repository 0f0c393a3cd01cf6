//! `when` and `transform`: VRL programs, checked against the types their events can have.
//!
//! A program sees the event as [`trunkline_core::EventView`] shows it, read-only, in UTC, and may call only functions
//! whose answer depends on their arguments alone. It is compiled once. What it reads is checked against the union of
//! the types that the subscription's `type` pattern can match: VRL by itself would take a path that no event has for
//! null.
//!
//! # What a run may cost
//! VRL asks the stopwatch between expressions and stops the run at [`Limits::deadline`]; a program can't catch that.
//! What one expression does in between is bounded: every value that a function makes or a variable holds counts at
//! most four times [`Limits::output`] bytes and is at most 128 deep; text can't be multiplied; functions that could
//! make something huge weigh their arguments first; nesting, calls inside calls, indices and regular expressions are
//! limited when the program is compiled. So a run ends at the deadline plus one such step (the tests hold all of it to
//! 150 ms of CPU), and what it makes stays bounded. A panic inside VRL is a failed run.

mod body;
mod caution;
mod check;
mod compile;
mod functions;
mod guard;
mod run;
mod search;
mod stopwatch;
mod survey;
mod types;
mod value;

use std::time::Duration;

use thiserror::Error;
use trunkline_core::view::ViewError;

pub(crate) use body::Form;
pub(crate) use compile::{Compiler, Program, Purpose};
pub(crate) use run::Input;
pub(crate) use stopwatch::{Meter, Watch};
pub(crate) use types::EventTypes;

/// What one run of one program may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body a transform may make, in bytes. Values in between may have four times as many.
    pub output: usize,
    /// Longest that condition and transform of one subscription may take for one event together, by `clock`.
    pub deadline: Duration,
    /// The stopwatch. Only differences within one thread count, and it runs no faster than time passes. The default is
    /// the thread's CPU time, so that a busy machine fails no program.
    pub clock: fn() -> Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output: 1024 * 1024, deadline: Duration::from_millis(20), clock: stopwatch::thread_time }
    }
}

/// Why a run gave no value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum RunError {
    /// The event can't be looked into.
    #[error(transparent)]
    View(#[from] ViewError),
    /// It took too long.
    #[error("stopped after {0:?} of work")]
    TooSlow(Duration),
    /// Earlier runs took too long.
    #[error("not run: earlier runs were stopped too often, and its time is used up for now")]
    NotRun,
    /// A value grew too large or too deep.
    #[error("made a value larger than {0} bytes, or nested deeper than {depth}", depth = guard::MAX_VALUE_DEPTH)]
    TooLarge(usize),
    /// What it made is larger than a body may be.
    #[error("made more than {0} bytes")]
    TooLong(usize),
    /// The program itself failed.
    #[error("{0}")]
    Failed(String),
    /// The content type of the subscription is not JSON, and what the program made is not text.
    #[error("content type `{content_type}` needs text, and the program made {made}")]
    NotText {
        /// As configured.
        content_type: String,
        /// The kind of value.
        made: String,
    },
    /// VRL panicked.
    #[error("the program's evaluation panicked")]
    Panicked,
}
