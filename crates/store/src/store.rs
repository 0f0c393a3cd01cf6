//! The handle on the store.

use std::sync::Arc;

use crate::dialect::{Connections, Statement};
use crate::error::StoreError;

/// The store, open. Cloning copies a pointer; all methods may run in parallel.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) connections: Arc<Connections>,
    /// What tells this process from others that call themselves the same.
    pub(crate) session: Arc<str>,
}

impl Store {
    /// Opens the store at `url`, making it and its folders where they are missing, and brings its schema up to date
    /// (forward only).
    ///
    /// `sqlite:PATH` is a file, kept to this process by a lock on `PATH.lock` until the last clone is dropped;
    /// `sqlite::memory:` lives as long as the store is open. `postgres://USER:PASSWORD@HOST:PORT/DATABASE` is a database that
    /// several processes share; `?sslmode=verify-full&sslrootcert=FILE` and the other parameters of libpq's addresses that
    /// the driver knows may follow, others are refused.
    ///
    /// # Errors
    /// [`StoreError::Address`], [`StoreError::Parameter`] and [`StoreError::Encoding`] for the address,
    /// [`StoreError::InUse`] when another process has the file, [`StoreError::File`] when it can't be made,
    /// [`StoreError::Unavailable`] when the server does not answer, [`StoreError::Newer`] when a newer version wrote it.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let connections = Arc::new(Connections::open(url).await?);
        Ok(Self { connections, session: uuid::Uuid::new_v4().simple().to_string().into() })
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
        Statement::new("SELECT 1").one(&self.connections).await.map(drop)
    }
}
