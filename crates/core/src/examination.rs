//! What an examination of something that a configuration names has found: a broker, a store, a platform.
//!
//! Whoever examines fills an [`Examination`] as it goes, so that what it found before its time was up is kept. It never says
//! that something is well which it could not look at: that goes to [`Examination::unseen`].

use std::path::PathBuf;

use crate::config::Severity;

/// What was found. `At` says which setting a finding is about, in the examiner's own terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination<At> {
    /// What is wrong or endangered.
    pub findings: Vec<Finding<At>>,
    /// What could not be looked at, each with the reason; no judgement about it.
    pub unseen: Vec<String>,
    /// What was seen, for people: versions, numbers, names.
    pub seen: Vec<String>,
    /// What time others have.
    pub clocks: Vec<Clock>,
    /// Files and folders that are written to and may not be there yet; whoever asked judges the room on their disks.
    pub written: Vec<PathBuf>,
    /// Names of clients that share one piece of work now, each list one piece.
    pub sharing: Vec<Vec<String>>,
}

/// Something that is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<At> {
    /// The setting it is about.
    pub at: At,
    /// What kind of mistake it is.
    pub fault: Fault,
    /// An error loses something or stops something; a warning may come to that.
    pub severity: Severity,
    /// What is wrong, without secrets.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Kinds of findings, as far as somebody acts differently on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It can't be had: nobody answers, it refuses, or the way there is broken.
    Unreachable,
    /// It is there with other settings than are configured.
    Differs,
    /// It must be there and is not.
    Missing,
    /// It would lose records, or stop taking them.
    Unsafe,
    /// The configured user may not do what is needed.
    Permission,
    /// A certificate is expired or soon will be.
    Certificate,
    /// It is no version that can be worked with.
    Version,
}

/// The time of somebody else, against ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clock {
    /// Whose.
    pub whose: String,
    /// By how many milliseconds ours is ahead; negative when it is behind.
    pub ours_ahead_ms: i64,
    /// By how many milliseconds that may be wrong: the resolution of what was told, and the way there.
    pub within_ms: i64,
}

impl<At> Default for Examination<At> {
    fn default() -> Self {
        Self {
            findings: Vec::new(),
            unseen: Vec::new(),
            seen: Vec::new(),
            clocks: Vec::new(),
            written: Vec::new(),
            sharing: Vec::new(),
        }
    }
}

impl<At> Examination<At> {
    /// Adds an error.
    pub fn error(&mut self, at: At, fault: Fault, problem: impl Into<String>, remedy: impl Into<String>) {
        let (problem, remedy) = (problem.into(), remedy.into());
        self.findings.push(Finding { at, fault, severity: Severity::Error, problem, remedy });
    }

    /// Adds a warning.
    pub fn warning(&mut self, at: At, fault: Fault, problem: impl Into<String>, remedy: impl Into<String>) {
        let (problem, remedy) = (problem.into(), remedy.into());
        self.findings.push(Finding { at, fault, severity: Severity::Warning, problem, remedy });
    }

    /// Says that something could not be looked at, and why.
    pub fn unseen(&mut self, what: impl Into<String>) {
        self.unseen.push(what.into());
    }

    /// Says what was seen.
    pub fn seen(&mut self, what: impl Into<String>) {
        self.seen.push(what.into());
    }
}
