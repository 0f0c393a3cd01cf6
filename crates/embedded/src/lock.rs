//! One process, one directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::clock::utc;
use crate::error::OpenError;

/// Holds the directory until it is dropped. The operating system lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory, or says who has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join("lock");
        let io = |what: &'static str| {
            let path = path.clone();
            move |source| OpenError::Io { path, what, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("create the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, &mut file)),
            Err(TryLockError::Error(source)) => {
                return Err(OpenError::Io { path, what: "lock the directory", source });
            }
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let text = format!("{}\n{host}\n{}\n", std::process::id(), utc(SystemTime::now()));
        file.set_len(0).map_err(io("write the lock file"))?;
        file.seek(SeekFrom::Start(0)).map_err(io("write the lock file"))?;
        file.write_all(text.as_bytes()).map_err(io("write the lock file"))?;
        Ok(Self { _file: file })
    }
}

/// The first one writes its name just after it took the lock, so the file may for a moment be empty.
fn in_use(directory: &Path, file: &mut File) -> OpenError {
    let mut text = String::new();
    if file.read_to_string(&mut text).is_err() {
        text.clear();
    }
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok()).unwrap_or(0);
    let mut line = || lines.next().unwrap_or("unknown").to_owned();
    OpenError::InUse { directory: directory.to_owned(), pid, host: line(), since: line() }
}
