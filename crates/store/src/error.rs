//! What can go wrong with the store; the variants say what the caller must do.

use std::path::PathBuf;

use thiserror::Error;

/// The error of the layer below, kept as a source.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why the store did not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The address is none of a store: correct the configuration. Without the parts that may hold a password.
    #[error(
        "`{address}` is no address of a store; write `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`"
    )]
    Address {
        /// As much of it as may be shown.
        address: String,
        /// Why, where it is known.
        #[source]
        source: Option<Cause>,
    },
    /// The address has a parameter that is none: correct the configuration.
    #[error("`{0}` is no parameter of a PostgreSQL address")]
    Parameter(String),
    /// The database can't hold every text: make one with `ENCODING 'UTF8'`.
    #[error("the database's encoding is {0}; the store needs one with ENCODING 'UTF8'")]
    Encoding(String),
    /// Another process has the store open: stop it, or give this one another store.
    #[error(
        "the store {} is in use by {}; several processes share a store on PostgreSQL only: \
         `store: postgres://USER:PASSWORD@HOST/DATABASE`",
        .path.display(), process(*.pid)
    )]
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
    /// The database refuses a statement, and would again: a fault of this program, or of rights there. An operator must look;
    /// nothing was changed.
    #[error("the database refuses what the store asks of it")]
    Refused(#[source] Cause),
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

    pub(crate) fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    pub(crate) fn address(url: &str, source: Option<Cause>) -> Self {
        Self::Address { address: shown(url), source }
    }
}

/// What is behind the scheme of an address may hold a password, wherever it is wrong.
fn shown(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://.."),
        None if url.contains('@') => "..".to_owned(),
        None => url.to_owned(),
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
