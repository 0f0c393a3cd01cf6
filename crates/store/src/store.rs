//! The handle on the store.

use std::sync::Arc;

use crate::dialect::Connections;
use crate::error::StoreError;

/// The store, open. Cloning copies a pointer; all methods may run in parallel.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) connections: Arc<Connections>,
}

impl Store {
    /// Opens the store at `url`, making it and its folders where they are missing, and brings its schema up to date
    /// (forward only). `sqlite:PATH` is a file, kept to this process by a lock on `PATH.lock` until the last clone is
    /// dropped; `sqlite::memory:` lives as long as the store is open.
    ///
    /// # Errors
    /// [`StoreError::Address`] and [`StoreError::Unsupported`] for the address, [`StoreError::InUse`] when another process
    /// has it, [`StoreError::File`] when it can't be made, [`StoreError::Newer`] when a newer version wrote it.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self { connections: Arc::new(Connections::open(url).await?) })
    }

    /// Waits for what is under way, then closes. The lock is let go of when the last clone is dropped.
    pub async fn close(&self) {
        self.connections.close().await;
    }

    /// Whether the store answers, for readiness.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(self.connections.read()).await?;
        Ok(())
    }
}
