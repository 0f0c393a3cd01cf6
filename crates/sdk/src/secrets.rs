//! Secrets behind their references: read when needed, read again when changed, never shown.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;
use trunkline_core::config::Secret;

/// Reads secrets for one adapter and remembers which, so that their change can be noticed.
#[derive(Clone, Default)]
pub struct Secrets {
    seen: Arc<std::sync::Mutex<Vec<Secret>>>,
}

/// A secret's value. Prints as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

/// Why a secret can't be read; names the reference, never the value.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The environment variable is not set (or not UTF-8, or empty).
    #[error("environment variable `{0}` is not set")]
    Unset(String),
    /// The file can't be read, or is empty.
    #[error("file `{path}` can't be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

impl Secrets {
    /// Reads a secret now (a file that has not changed is not read twice).
    ///
    /// # Errors
    /// [`SecretError`] names the reference.
    pub fn read(&self, secret: &Secret) -> Result<SecretText, SecretError> {
        todo!("{secret:?} {:?}", self.seen)
    }

    /// Whether a secret that was read has another value since the last call of this function.
    pub fn changed(&self) -> bool {
        todo!()
    }
}

impl SecretText {
    /// A secret made in memory, for tests and the demo.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The value, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}
