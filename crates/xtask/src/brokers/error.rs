//! What can keep a test from having a broker.

use std::path::PathBuf;
use std::time::Duration;

use super::Kind;

/// Why there is no broker, or why it did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokersError {
    /// Nobody said where the shared broker is and none was started.
    #[error("no {kind} to test against: run `cargo xtask brokers up`, or set {}", kind.variable())]
    NotUp { kind: Kind },
    /// An environment variable names the broker, so somebody else decides about its process, listeners and control tool.
    #[error("{kind} is the one that {} names: only one that xtask started has {what}", kind.variable())]
    Foreign { kind: Kind, what: &'static str },
    /// The state file does not hold what `xtask brokers up` writes.
    #[error("{} can't be read; remove it and run `cargo xtask brokers up`", path.display())]
    State { path: PathBuf, source: serde_json::Error },
    #[error("{}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A program is missing and can't be installed from here.
    #[error("{program} is missing; {remedy}")]
    Missing { program: &'static str, remedy: String },
    #[error("{command} can't be run")]
    Run { command: String, source: std::io::Error },
    #[error("{command} failed ({status}): {output}")]
    Failed { command: String, status: std::process::ExitStatus, output: String },
    #[error("{name} ended while it started; the end of {}:\n{tail}", log.display())]
    Ended { name: String, log: PathBuf, tail: String },
    #[error("{name} did not answer within {waited:?}; the end of {}:\n{tail}", log.display())]
    NotReady { name: String, waited: Duration, log: PathBuf, tail: String },
    #[error("every port from {first} to {last} is taken")]
    NoPort { first: u16, last: u16 },
    #[error("a certificate can't be made")]
    Certificate(#[from] rcgen::Error),
}

impl BrokersError {
    /// For `map_err` of what reads or writes `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> BrokersError {
        let path = path.into();
        move |source| BrokersError::File { path, source }
    }
}
