//! Secrets behind their references: read when needed, read again when changed, never shown.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;
use trunkline_core::config::{Secret, SecretReference};

mod stamp;

use stamp::Stamp;

/// A file is looked at again at most this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Reads secrets for one adapter and remembers which, so that their change can be noticed.
#[derive(Clone, Default)]
pub struct Secrets {
    folder: Arc<PathBuf>,
    seen: Arc<Mutex<HashMap<SecretReference, Seen>>>,
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
        cause: io::Error,
    },
}

/// What is remembered of a secret that was read.
struct Seen {
    /// Its value when [`Secrets::changed`] last looked (or when it was read first); `None` while it can't be read.
    reported: Option<SecretText>,
    /// The file's content, as long as the file looks the same.
    cached: Option<Cached>,
}

struct Cached {
    value: SecretText,
    stamp: Stamp,
    looked: Instant,
}

impl Secrets {
    /// Secrets whose relative file names start at `folder`: that of the configuration.
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: Arc::new(folder.to_owned()), seen: Arc::default() }
    }

    /// Secrets that start at the same folder and have seen nothing yet, for another adapter.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self { folder: self.folder.clone(), seen: Arc::default() }
    }

    /// Reads a secret now. A file is looked at once a second at most, and read again only when it looks different. One
    /// newline at the end of a file does not count.
    ///
    /// # Errors
    /// [`SecretError`] names the reference.
    pub fn read(&self, secret: &Secret) -> Result<SecretText, SecretError> {
        let mut seen = self.lock();
        let cached = seen.get_mut(secret.reference()).and_then(|seen| seen.cached.take());
        let read = self.read_anew(secret.reference(), cached);
        let (outcome, cached) = match read {
            Ok((value, cached)) => (Ok(value), cached),
            Err(error) => (Err(error), None),
        };
        let entry = seen
            .entry(secret.reference().clone())
            .or_insert_with(|| Seen { reported: outcome.as_ref().ok().cloned(), cached: None });
        entry.cached = cached;
        outcome
    }

    /// Whether a secret can be read, without remembering it. `trunkline check` warns of an error here, a start stops at
    /// it.
    ///
    /// # Errors
    /// [`SecretError`] names the reference.
    pub fn check(&self, secret: &Secret) -> Result<(), SecretError> {
        self.read_anew(secret.reference(), None).map(|_value| ())
    }

    /// Whether a secret that was read has another value than at the last call of this function (or than when it was
    /// read first). One that appears or goes missing has changed too.
    pub fn changed(&self) -> bool {
        let mut seen = self.lock();
        let mut changed = false;
        for (reference, entry) in seen.iter_mut() {
            let (value, cached) = match self.read_anew(reference, entry.cached.take()) {
                Ok((value, cached)) => (Some(value), cached),
                Err(_unreadable) => (None, None),
            };
            entry.cached = cached;
            if entry.reported != value {
                entry.reported = value;
                changed = true;
            }
        }
        changed
    }

    fn read_anew(
        &self,
        reference: &SecretReference,
        cached: Option<Cached>,
    ) -> Result<(SecretText, Option<Cached>), SecretError> {
        match reference {
            SecretReference::Env(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok((SecretText::new(value), None)),
                _ => Err(SecretError::Unset(name.clone())),
            },
            SecretReference::File(path) => {
                let cached = read_file(&self.folder.join(path), cached)
                    .map_err(|cause| SecretError::File { path: path.clone(), cause })?;
                Ok((cached.value.clone(), Some(cached)))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretReference, Seen>> {
        // A panic elsewhere leaves the map whole: every change of it is one assignment.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_file(path: &Path, cached: Option<Cached>) -> io::Result<Cached> {
    let now = Instant::now();
    if let Some(cached) = cached {
        if now.duration_since(cached.looked) < LOOK_EVERY {
            return Ok(cached);
        }
        if cached.stamp.still_holds(&std::fs::metadata(path)?) {
            return Ok(Cached { looked: now, ..cached });
        }
    }
    // The stamp is taken before the content, so that a write between the two is noticed the next time.
    let stamp = Stamp::of(&std::fs::metadata(path)?);
    let mut text = std::fs::read_to_string(path)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
    }
    Ok(Cached { value: SecretText::new(text), stamp, looked: now })
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn file(name: &str) -> Secret {
        Secret::new(SecretReference::File(name.to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "one\n").unwrap();
        let secrets = Secrets::in_folder(folder.path());
        assert_eq!(secrets.read(&file("key")).unwrap().expose(), "one");
        assert!(!secrets.changed());

        std::fs::write(&path, "two\n\n").unwrap();
        assert_eq!(secrets.read(&file("key")).unwrap().expose(), "one", "looked at once a second at most");
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(secrets.read(&file("key")).unwrap().expose(), "two\n", "one newline is trimmed, not two");
        assert!(secrets.changed(), "reading the new value does not hide the change");
        assert!(!secrets.changed());

        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(LOOK_EVERY).await;
        assert!(secrets.changed());
        let error = secrets.read(&file("key")).unwrap_err();
        assert_eq!(error.to_string(), "file `key` can't be read");
        std::fs::write(&path, "three").unwrap();
        assert!(secrets.changed());
        assert_eq!(secrets.read(&file("key")).unwrap().expose(), "three");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rewrite_of_equal_length_at_once_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let secrets = Secrets::in_folder(folder.path());
        // Writes may follow each other within one tick of the file system's clock.
        for round in 0..20 {
            let value = format!("{round:04}");
            std::fs::write(&path, &value).unwrap();
            tokio::time::advance(LOOK_EVERY).await;
            assert_eq!(secrets.read(&file("key")).unwrap().expose(), value);
        }
    }

    #[test]
    fn unset_and_empty_are_errors_that_name_the_reference() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let secrets = Secrets::in_folder(folder.path());
        assert!(secrets.check(&file("empty")).is_err());
        let unset = Secret::new(SecretReference::Env("TRUNKLINE_NO_SUCH_VARIABLE".to_owned()));
        let error = secrets.check(&unset).unwrap_err();
        assert_eq!(error.to_string(), "environment variable `TRUNKLINE_NO_SUCH_VARIABLE` is not set");
        assert!(!secrets.changed(), "a check is not remembered");
    }

    #[test]
    fn nothing_prints_a_value() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "canary").unwrap();
        let secrets = Secrets::in_folder(folder.path());
        let value = secrets.read(&file("key")).unwrap();
        assert_eq!(format!("{value:?} {secrets:?}"), "*** Secrets");
    }
}
