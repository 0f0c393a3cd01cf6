//! Ends what one test started, however that test ends.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::{BrokersError, folder};

/// A folder that is removed, with the processes in it killed, when this is dropped or this process ends.
#[derive(Debug)]
pub(crate) struct Guard {
    folder: PathBuf,
    /// A shell that waits for the end of its input, which comes even when this process is killed.
    watcher: Child,
    input: Option<ChildStdin>,
}

/// Reads the ids of the processes, the last line counts; at the end of its input it kills them and removes the folder.
const WATCH: &str =
    r#"while read -r line; do ids=$line; done; [ -z "$ids" ] || kill -9 $ids 2>/dev/null; rm -rf -- "$1""#;

impl Guard {
    /// Creates the folder and watches over it.
    pub(crate) fn new(folder: PathBuf) -> Result<Guard, BrokersError> {
        folder::create(&folder)?;
        let mut watcher = Command::new("setsid")
            .args(["sh", "-c", WATCH, "trunkline-guard"])
            .arg(&folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| BrokersError::Run { command: "setsid sh".to_owned(), source })?;
        let input = watcher.stdin.take();
        Ok(Guard { folder, watcher, input })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// From now on the guard kills these and no others.
    pub(crate) fn watch(&mut self, ids: &[u32]) {
        let line = ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        if let Some(input) = &mut self.input {
            // A guard that somebody killed leaves the cleaning to `drop`.
            writeln!(input, "{line}").ok();
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.input = None;
        self.watcher.wait().ok();
        folder::remove(&self.folder).ok();
    }
}
