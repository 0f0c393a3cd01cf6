//! Copies of what a configuration keeps in files.

use std::path::Path;

use super::broker::{OpenError, OpenStoreError, store_url};
use crate::config::{EngineKind, Shared};

/// Copies the embedded engine's directory to `into`, also while a process has it open. Returns `false`, and copies nothing,
/// for another engine.
///
/// # Errors
/// [`OpenError`] when the address can't be read, or the directory can't be copied.
pub async fn back_up_broker(shared: &Shared, into: &Path) -> Result<bool, OpenError> {
    let address = shared.broker.address(&shared.folder)?;
    match EngineKind::of(&address) {
        #[cfg(feature = "embedded")]
        Ok(EngineKind::Embedded) => {
            super::broker::embedded::back_up(&address, shared, into).await.map(|()| true)
        }
        Ok(_) => Ok(false),
        Err(other) => Err(OpenError::Unknown(other.to_owned())),
    }
}

/// Copies a SQLite store to the file `into`, also while a process has it open. Returns `false`, and copies nothing, for a store
/// on a server.
///
/// # Errors
/// [`OpenStoreError`] when the address can't be read, or the store can't be copied.
pub async fn back_up_store(shared: &Shared, into: &Path) -> Result<bool, OpenStoreError> {
    let url = store_url(shared)?;
    let copied = trunkline_store::back_up(&url, into).await;
    copied.map_err(|cause| OpenStoreError::Store { passes: false, cause })
}
