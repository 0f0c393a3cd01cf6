//! What can go wrong with the store; the variants say what the caller must do.

use std::path::PathBuf;

use thiserror::Error;

/// The error of the layer below, kept as a source.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The address is none of a store: correct the configuration.
    #[error("`{0}` is no address of a store; write `sqlite:PATH`, for example `sqlite:./data/store.db`")]
    Address(String),
    /// The address is that of a kind of store that this version does not have: correct the configuration.
    #[error("{0} is not in this version")]
    Unsupported(&'static str),
    /// Another process has the store open: stop it, or give this one another store.
    #[error("the store {} is in use by {}", .path.display(), process(*.pid))]
    InUse {
        /// The store's file.
        path: PathBuf,
        /// The other process, where it could be read.
        pid: Option<u32>,
    },
    /// The store's folder or lock file can't be made: correct permissions or the configuration.
    #[error("the store's file {} can't be made or locked", .path.display())]
    File {
        /// What could not be made.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A newer version wrote the store: run that version again, or restore the copy from before its first start.
    #[error(
        "the store has schema {found}, this version knows up to {known}: run the newer version, or restore a copy from before it"
    )]
    Newer {
        /// The schema's version in the store.
        found: i64,
        /// The newest version this binary knows.
        known: i64,
    },
    /// The store's schema can't be brought up to date; nothing was changed.
    #[error("the store's schema can't be brought up to date")]
    Migration(#[source] Cause),
    /// Not now (locked, full, disconnected, too busy): try again later, nothing was changed.
    #[error("the store can't be had now")]
    Unavailable(#[source] Cause),
    /// What was to be made is already there: do not try again.
    #[error("{what} `{id}` already exists")]
    Conflict {
        /// The kind of thing.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The cursor of a page is none that the store gave out: ask for the first page.
    #[error("`{0}` is no cursor of this list")]
    Cursor(String),
    /// What is stored can't be read back: an operator must look.
    #[error("{what} in the store is damaged")]
    Damaged {
        /// Which part.
        what: String,
        /// Why, where a lower layer knows.
        #[source]
        source: Option<Cause>,
    },
}

impl StoreError {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), source: None }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
