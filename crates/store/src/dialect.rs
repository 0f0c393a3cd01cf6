//! The one file that knows which database is behind: SQLite.
//!
//! PostgreSQL will be a second set of these items. Everything else in the crate is SQL that both understand.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{Pool, QueryBuilder, Transaction};

use crate::error::StoreError;
use crate::lock::ProcessLock;

/// The database behind the store.
pub(crate) type Db = sqlx::Sqlite;

/// One row of it.
pub(crate) type Row = sqlx::sqlite::SqliteRow;

/// How many rows one statement takes at most: well under SQLite's limit of 32,766 parameters even for wide rows.
pub(crate) const ROWS: usize = 200;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

const ACQUIRE: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);

/// How much a power failure may take back after a transaction was reported done. A crash of the process takes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Nothing: the caller lets go of the only other copy.
    Full,
    /// The last moments: what is lost is found again or costs a duplicate.
    Relaxed,
}

/// Connections, one for writing (SQLite has one writer at a time; waiting in the pool is fair and cheap) and a few for
/// reading, closed again when idle.
#[derive(Debug)]
pub(crate) struct Connections {
    write: Pool<Db>,
    read: Pool<Db>,
    _lock: Option<ProcessLock>,
}

impl Connections {
    /// Opens the store at `url` and brings its schema up to date.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let connections = match place(url)? {
            Some(path) => Self::on_disk(path)?,
            None => Self::in_memory(),
        };
        MIGRATIONS.run(&connections.write).await.map_err(migration_error)?;
        Ok(connections)
    }

    fn on_disk(path: PathBuf) -> Result<Self, StoreError> {
        let lock = ProcessLock::take(&path)?;
        let options = options().filename(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let readers = options.clone().pragma("query_only", "ON");
        Ok(Self {
            write: SqlitePoolOptions::new()
                .max_connections(1)
                .acquire_timeout(ACQUIRE)
                .connect_lazy_with(options),
            read: SqlitePoolOptions::new()
                .max_connections(2)
                .acquire_timeout(ACQUIRE)
                .idle_timeout(IDLE)
                .connect_lazy_with(readers),
            _lock: Some(lock),
        })
    }

    /// A database in memory lives and dies with its only connection.
    fn in_memory() -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(options().in_memory(true));
        Self { write: pool.clone(), read: pool, _lock: None }
    }

    /// Begins a transaction that writes. Never read through [`Connections::read`] while one is open.
    pub(crate) async fn begin(&self, durability: Durability) -> Result<Transaction<'static, Db>, StoreError> {
        let statement = match durability {
            Durability::Full => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            Durability::Relaxed => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
        };
        Ok(self.write.begin_with(statement).await?)
    }

    /// For single statements that only read.
    pub(crate) fn read(&self) -> &Pool<Db> {
        &self.read
    }

    /// Waits for what is under way and closes.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Appends `column IN (..)` with one parameter, however many texts there are.
pub(crate) fn push_any_of(query: &mut QueryBuilder<Db>, column: &'static str, texts: &[String]) {
    let list = serde_json::Value::from(texts).to_string();
    query.push(column).push(" IN (SELECT value FROM json_each(").push_bind(list).push("))");
}

fn options() -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .busy_timeout(ACQUIRE)
        .statement_cache_capacity(48)
        .pragma("cache_size", "-1024")
        .pragma("journal_size_limit", "16777216")
        .pragma("temp_store", "MEMORY")
}

/// Where the store is; `None` for memory.
fn place(url: &str) -> Result<Option<PathBuf>, StoreError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err(StoreError::Unsupported("PostgreSQL support"));
    }
    let path = url.strip_prefix("sqlite:").ok_or_else(|| StoreError::Address(without_password(url)))?;
    let path = path.strip_prefix("//").unwrap_or(path);
    match path {
        "" => Err(StoreError::Address(url.to_owned())),
        ":memory:" => Ok(None),
        path => Ok(Some(path.into())),
    }
}

/// An address that is wrong may still hold a password.
fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("..@{host}"),
        None => url.to_owned(),
    }
}

fn migration_error(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) => {
            let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
            StoreError::Newer { found, known }
        }
        MigrateError::Execute(error) => error.into(),
        error => StoreError::Migration(Box::new(error)),
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let damaged = match &error {
            sqlx::Error::ColumnDecode { index, .. } => Some(format!("column {index}")),
            sqlx::Error::Decode(_) => Some("a value".to_owned()),
            // SQLITE_CORRUPT and SQLITE_NOTADB, extended codes included.
            sqlx::Error::Database(database) => database
                .code()
                .and_then(|code| code.parse::<u32>().ok())
                .filter(|code| matches!(code & 0xff, 11 | 26))
                .map(|_| "the file".to_owned()),
            _ => None,
        };
        match damaged {
            Some(what) => Self::Damaged { what, source: Some(Box::new(error)) },
            None => Self::Unavailable(Box::new(error)),
        }
    }
}
