//! A copy of a store that is a file.

use std::path::Path;

use crate::dialect;
use crate::error::StoreError;

/// Copies the store at `url` to the file `into`, which must not be there, also while a process has the store open. Returns
/// `false`, and copies nothing, for a store that is no file: a server's own tools copy it.
///
/// # Errors
/// The store is not there or can't be read; `into` can't be written.
pub async fn back_up(url: &str, into: &Path) -> Result<bool, StoreError> {
    if dialect::is_postgres(url) {
        return Ok(false);
    }
    dialect::back_up_sqlite(url, into).await
}
