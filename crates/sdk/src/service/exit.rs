//! How a process ends, as scripts see it.

use std::error::Error;
use std::process::ExitCode;

use thiserror::Error;
use trunkline_broker::{ConsumeError, HandOverError};
use trunkline_core::config::Diagnostics;

/// The exit codes of every command and service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done = 0,
    /// 1: the answer is no (`check`, `try`, `test` or `doctor` found something).
    No = 1,
    /// 2: wrong usage.
    Usage = 2,
    /// 3: the configuration is not valid.
    Configuration = 3,
    /// 4: a broker, store or address can't be had.
    Unavailable = 4,
    /// 5: another instance took over.
    Fenced = 5,
    /// 6: stopped with work that could not be settled in the grace period.
    Unsettled = 6,
}

/// Why a service did not start, or stopped, in the words of exit codes.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The configuration is not valid.
    #[error("the configuration is not valid:\n{}", lines(.0))]
    Configuration(Diagnostics),
    /// A broker, store or address can't be had.
    #[error("{what} can't be had")]
    Unavailable {
        /// What, for example `the store sqlite:./data/store.db`.
        what: String,
        /// Why.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
    /// Another instance took over.
    #[error("another instance took over")]
    Fenced,
    /// The grace period ended before everything was settled.
    #[error("stopped with work that could not be settled in the grace period: {0}")]
    Unsettled(String),
}

impl Exit {
    /// The code for an error, by the first error of its chain that has one; [`Exit::Unavailable`] when none has. For an
    /// `anyhow::Error` pass `error.as_ref()`.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |&error| error.source());
        chain.filter_map(of_one).next().unwrap_or(Exit::Unavailable)
    }

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl ServiceError {
    /// That something can't be had.
    pub fn unavailable(what: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable { what: what.into(), cause: cause.into() }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

fn of_one(error: &(dyn Error + 'static)) -> Option<Exit> {
    if let Some(error) = error.downcast_ref::<ServiceError>() {
        return Some(match error {
            ServiceError::Configuration(_) => Exit::Configuration,
            ServiceError::Unavailable { .. } => Exit::Unavailable,
            ServiceError::Fenced => Exit::Fenced,
            ServiceError::Unsettled(_) => Exit::Unsettled,
        });
    }
    let fenced = matches!(error.downcast_ref(), Some(ConsumeError::Fenced))
        || matches!(error.downcast_ref(), Some(HandOverError::Fenced));
    let configured = error.is::<crate::config::ListenError>()
        || error.is::<crate::registry::MakeError>()
        || error.is::<crate::secrets::SecretError>();
    match (fenced, configured) {
        (true, _) => Some(Exit::Fenced),
        (_, true) => Some(Exit::Configuration),
        _ => None,
    }
}

fn lines(diagnostics: &Diagnostics) -> String {
    let list = diagnostics.clone().into_sorted();
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: impl Error + Send + Sync + 'static, expected: Exit) {
        let wrapped = anyhow::Error::new(error).context("while doing something");
        assert_eq!(Exit::of(wrapped.as_ref()), expected);
    }

    #[test]
    fn an_error_decides_the_exit_code_however_deep_it_is() {
        check(ServiceError::Configuration(Diagnostics::new()), Exit::Configuration);
        check(ConsumeError::Fenced, Exit::Fenced);
        check(HandOverError::Fenced, Exit::Fenced);
        check(ServiceError::Unsettled("3 deliveries".to_owned()), Exit::Unsettled);
        check(crate::secrets::SecretError::Unset("KEY".to_owned()), Exit::Configuration);
        check(std::io::Error::other("address in use"), Exit::Unavailable);
        check(ServiceError::unavailable("the broker", ConsumeError::Fenced), Exit::Unavailable);
        assert_eq!(Exit::Unsettled.code(), 6);
    }
}
