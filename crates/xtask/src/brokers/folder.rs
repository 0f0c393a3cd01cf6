//! Where brokers keep their data.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::BrokersError;

/// The build's target folder.
pub(crate) fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap_or(root);
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => root.join(folder),
        _ => root.join("target"),
    }
}

/// The environment variable that names the folder of the brokers: `cargo xtask test` sets it for tests, which can't know
/// its target folder.
pub(crate) const VARIABLE: &str = "TRUNKLINE_TEST_BROKERS";

/// The folder of the brokers: `brokers` in the target folder, or what the environment says.
pub(crate) fn brokers() -> PathBuf {
    match std::env::var_os(VARIABLE) {
        Some(folder) if !folder.is_empty() => folder.into(),
        _ => target().join("brokers"),
    }
}

/// A new folder for a broker of one test.
pub(crate) fn private(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    brokers().join("private").join(format!("{name}-{}-{count}", std::process::id()))
}

pub(crate) fn create(folder: &Path) -> Result<(), BrokersError> {
    fs::create_dir_all(folder).map_err(BrokersError::file(folder))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), BrokersError> {
    fs::write(path, text).map_err(BrokersError::file(path))
}

/// Removes a folder with everything in it, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<(), BrokersError> {
    unless_missing(folder, fs::remove_dir_all(folder))
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), BrokersError> {
    unless_missing(path, fs::remove_file(path))
}

fn unless_missing(path: &Path, done: io::Result<()>) -> Result<(), BrokersError> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BrokersError::file(path)(error)),
        _ => Ok(()),
    }
}

/// Whether any user of the machine can enter it, once it exists: each folder above lets all pass.
pub(crate) fn is_open_to_all(folder: &Path) -> bool {
    let passes = |above: &Path| above.metadata().is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    folder.ancestors().skip(1).filter(|above| above.exists()).all(passes)
}
