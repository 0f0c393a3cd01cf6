//! The only part that knows which database is behind: SQLite, which one process has to itself, or PostgreSQL, which
//! several share.
//!
//! Queries elsewhere are [`Statement`]s in the SQL both understand. What differs is here: how to open and migrate, what a
//! transaction begins with, how a list of values becomes a table, what an error means.

mod error;
mod outage;
mod postgres;
mod row;
mod sqlite;
mod statement;
mod table;
mod transaction;

use crate::error::StoreError;

pub(crate) use row::Row;
pub(crate) use statement::Statement;
pub(crate) use table::Table;
pub(crate) use transaction::Transaction;

pub(crate) use postgres::examine as examine_postgres;
pub(crate) use sqlite::back_up as back_up_sqlite;
pub(crate) use sqlite::examine as examine_sqlite;

use postgres::Postgres;
use sqlite::Sqlite;

/// Whether an address is one of PostgreSQL.
pub(crate) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// How much a power failure may take back after a transaction was reported done. A crash of a process takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing: the caller lets go of the only other copy.
    Full,
    /// The last moments: what is lost is found again or costs a duplicate.
    Relaxed,
}

/// The database behind the store.
#[derive(Debug)]
pub(crate) enum Connections {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Connections {
    /// Opens the store at `url` and brings its schema up to date.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        if is_postgres(url) {
            Ok(Self::Postgres(Postgres::open(url).await?))
        } else {
            Ok(Self::Sqlite(Sqlite::open(url).await?))
        }
    }

    /// Begins a transaction that writes. Never read through [`Connections`] while one is open.
    pub(crate) async fn begin(&self, durability: Durability) -> Result<Transaction, StoreError> {
        Ok(match self {
            Self::Sqlite(sqlite) => Transaction::Sqlite(sqlite.begin(durability).await?),
            Self::Postgres(postgres) => Transaction::Postgres(postgres.begin(durability).await?),
        })
    }

    /// Runs one statement as a transaction of its own at [`Durability::Relaxed`]: one turn to the database instead of
    /// three. Returns how many rows it changed.
    pub(crate) async fn write_relaxed(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.write_relaxed(statement).await,
            Self::Postgres(postgres) => postgres.write_relaxed(statement).await,
        }
    }

    /// Waits for what is under way and closes.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
            Self::Postgres(postgres) => postgres.close().await,
        }
    }
}
