//! The store in a SQLite file, or in memory.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Pool, Transaction};

use super::error::migration_error;
use super::{Durability, Statement};
use crate::error::StoreError;
use crate::lock::ProcessLock;

mod backup;
mod examine;

pub(crate) use backup::back_up;
pub(crate) use examine::examine;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const ACQUIRE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
const RELAX: &str = "PRAGMA synchronous = NORMAL; ";

/// Connections, one for writing (SQLite has one writer at a time; waiting in the pool is fair and cheap) and a few for
/// reading, closed again when idle. None is tried before it is used: that would be a turn to its thread for nothing.
#[derive(Debug)]
pub(crate) struct Sqlite {
    write: Pool<sqlx::Sqlite>,
    read: Pool<sqlx::Sqlite>,
    /// Whether the writing connection stands at [`Durability::Relaxed`]; a wrong `false` only costs time.
    relaxed: AtomicBool,
    _lock: Option<ProcessLock>,
}

impl Sqlite {
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let sqlite = match place(url)? {
            Some(path) => Self::on_disk(path)?,
            None => Self::in_memory(),
        };
        MIGRATIONS.run(&sqlite.write).await.map_err(|error| migration_error(error, &MIGRATIONS))?;
        // The lock says that whoever had a lease is gone.
        sqlx::query("UPDATE replays SET owner = NULL, lease_session = NULL, lease_until = NULL WHERE owner IS NOT NULL")
            .execute(&sqlite.write)
            .await?;
        Ok(sqlite)
    }

    fn on_disk(path: PathBuf) -> Result<Self, StoreError> {
        let lock = ProcessLock::take(&path)?;
        let options = options().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let readers = options.clone().pragma("query_only", "ON");
        Ok(Self {
            write: pool(1).connect_lazy_with(options),
            read: pool(2).idle_timeout(IDLE).connect_lazy_with(readers),
            relaxed: AtomicBool::new(false),
            _lock: Some(lock),
        })
    }

    /// A database in memory lives and dies with its only connection.
    fn in_memory() -> Self {
        let options = options().in_memory(true);
        let pool = pool(1).idle_timeout(None).max_lifetime(None).connect_lazy_with(options);
        Self { write: pool.clone(), read: pool, relaxed: AtomicBool::new(false), _lock: None }
    }

    pub(super) async fn begin(
        &self,
        durability: Durability,
    ) -> Result<Transaction<'static, sqlx::Sqlite>, StoreError> {
        let statement = match durability {
            Durability::Full => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            Durability::Relaxed => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        };
        let transaction = self.write.begin_with(statement).await?;
        self.relaxed.store(durability == Durability::Relaxed, Ordering::Relaxed);
        Ok(transaction)
    }

    pub(super) async fn write_relaxed(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let mut connection = self.write.acquire().await?;
        // The pragma works while it is prepared, so it can't be kept prepared, and is left out where it is not needed.
        let relaxed = self.relaxed.load(Ordering::Relaxed);
        let statement = if relaxed { statement } else { statement.once_after(RELAX) };
        let changed = statement.execute_on_sqlite(&mut connection).await?;
        self.relaxed.store(true, Ordering::Relaxed);
        Ok(changed)
    }

    pub(super) async fn reader(&self) -> Result<PoolConnection<sqlx::Sqlite>, StoreError> {
        Ok(self.read.acquire().await?)
    }

    pub(super) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE).test_before_acquire(false)
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .busy_timeout(ACQUIRE)
        .statement_cache_capacity(48)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-1024")
        .pragma("journal_size_limit", "16777216")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

/// Where the store is; `None` for memory.
fn place(url: &str) -> Result<Option<PathBuf>, StoreError> {
    let path = url.strip_prefix("sqlite:").ok_or_else(|| StoreError::address(url, None))?;
    let path = path.strip_prefix("//").unwrap_or(path);
    match path {
        "" => Err(StoreError::address(url, None)),
        ":memory:" => Ok(None),
        path => Ok(Some(path.into())),
    }
}
