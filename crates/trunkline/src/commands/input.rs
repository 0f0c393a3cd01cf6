//! Events given as a file or on standard input.

use std::io::Read;
use std::path::Path;

use super::{Usage, named};

/// The bytes of a file; of standard input for `-`.
///
/// # Errors
/// [`Usage`] names what can't be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Usage> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|found| bytes = found)
    };
    read.map_err(|error| Usage(format!("{} can't be read: {error}", named(path))))?;
    Ok(bytes)
}
