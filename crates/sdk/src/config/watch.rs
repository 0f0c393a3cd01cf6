//! Notices that a configuration's files changed, by looking at them: that works for files mounted into containers too.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::load::files_of;

/// How often the files are looked at, unless told otherwise.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Names and contents of all files, hashed; `None` while they can't be read.
type Fingerprint = Option<[u8; 32]>;

/// Watches the file or folder of a configuration.
#[derive(Debug)]
pub struct Watcher {
    path: PathBuf,
    every: Duration,
    /// What was last told.
    told: Fingerprint,
}

impl Watcher {
    /// Watches from now on; what stands in the files now is no change. Create it before the configuration is loaded, so
    /// that a change in between is noticed.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), every: LOOK_EVERY, told: fingerprint(path) }
    }

    /// Looks at the files at another interval than each second.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Returns when the files differ from what they were at the last return (or at the start), and have stopped
    /// changing: a file half written is not told. While they can't be read there is nothing to tell. Cancel-safe.
    pub async fn changed(&mut self) {
        let mut last_seen = self.told;
        loop {
            tokio::time::sleep(self.every).await;
            let path = self.path.clone();
            // A panic in the other thread leaves the files unread this time.
            let now = tokio::task::spawn_blocking(move || fingerprint(&path)).await.unwrap_or_default();
            if now.is_some() && now != self.told && now == last_seen {
                self.told = now;
                return;
            }
            last_seen = now;
        }
    }
}

fn fingerprint(path: &Path) -> Fingerprint {
    let read = || -> io::Result<[u8; 32]> {
        let mut hasher = Sha256::new();
        for file in files_of(path)? {
            hasher.update(Sha256::digest(file.as_os_str().as_encoded_bytes()));
            hasher.update(Sha256::digest(std::fs::read(&file)?));
        }
        Ok(hasher.finalize().into())
    };
    read().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    /// Whether a change is told within five looks.
    async fn told(watcher: &mut Watcher) -> bool {
        tokio::time::timeout(5 * LOOK_EVERY, watcher.changed()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_and_a_missing_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trunkline.yaml");
        std::fs::write(&path, "version: 1").unwrap();
        let mut watcher = Watcher::new(&path);
        assert!(!told(&mut watcher).await);

        std::fs::write(&path, "version: 2").unwrap();
        assert!(told(&mut watcher).await);
        assert!(!told(&mut watcher).await, "once");

        std::fs::remove_file(&path).unwrap();
        assert!(!told(&mut watcher).await);
        std::fs::write(&path, "version: 2").unwrap();
        assert!(!told(&mut watcher).await, "it came back as it was");
        std::fs::write(&path, "version: 3").unwrap();
        assert!(told(&mut watcher).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_is_watched_for_new_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.yaml"), "version: 1").unwrap();
        let mut watcher = Watcher::new(folder.path());
        std::fs::write(folder.path().join("b.yaml"), "router: {}").unwrap();
        assert!(told(&mut watcher).await);
    }
}
