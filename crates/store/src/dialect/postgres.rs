//! The store in a PostgreSQL database, shared by several processes.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection as _, Executor, Pool, Transaction};
use tokio::time::timeout;

use super::error::migration_error;
use super::outage::Outage;
use super::{Durability, Statement};
use crate::error::StoreError;

mod examine;

pub(crate) use examine::examine;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long the server may take to answer at the start.
const CONNECT: Duration = Duration::from_secs(10);
/// How long opening may take: the turn of other starters, their migrations and ours.
const PREPARE: Duration = Duration::from_secs(60);
/// How long to wait for one later. Short: a gateway that can't ask for seen ids accepts without.
pub(super) const ACQUIRE: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(60);
/// Of one process. A server takes 100 by default.
const CONNECTIONS: u32 = 8;

/// What an address may say behind `?`; the driver would pass over anything else, and log it.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// Connections to the database. One stands at [`Durability::Relaxed`]; a transaction can raise it to what the server is
/// set to.
#[derive(Debug)]
pub(crate) struct Postgres {
    pool: Pool<sqlx::Postgres>,
    outage: Outage,
}

impl Postgres {
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let options = options(url)?;
        timeout(PREPARE, Box::pin(prepare(&options))).await.map_err(StoreError::unavailable)??;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(IDLE)
            .after_connect(|connection, _| {
                Box::pin(async move { connection.execute("SET synchronous_commit = off").await.map(drop) })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, outage: Outage::default() })
    }

    pub(super) async fn begin(
        &self,
        durability: Durability,
    ) -> Result<Transaction<'static, sqlx::Postgres>, StoreError> {
        let statement = match durability {
            Durability::Full => "BEGIN; SET LOCAL synchronous_commit TO DEFAULT",
            Durability::Relaxed => "BEGIN",
        };
        self.outage.watch(Box::pin(self.pool.begin_with(statement))).await
    }

    pub(super) async fn write_relaxed(&self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let mut connection = self.connection().await?;
        statement.execute_on_postgres(&mut connection).await
    }

    pub(super) async fn connection(&self) -> Result<PoolConnection<sqlx::Postgres>, StoreError> {
        // Boxed, because all that making a connection takes is in it.
        self.outage.watch(Box::pin(self.pool.acquire())).await
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// How long to wait for an answer of the server: a connection whose other end is gone without a word would never answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// What any statement may take, and waiting for another process's turn.
    Usual,
    /// What somebody who can do without is willing to wait.
    Short,
}

impl Patience {
    /// Waits for an answer.
    pub(super) async fn wait<T>(
        self,
        asked: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        let longest = match self {
            Self::Usual => Duration::from_secs(30),
            Self::Short => ACQUIRE,
        };
        Ok(timeout(longest, asked).await.map_err(StoreError::unavailable)??)
    }
}

/// Brings the schema up to date. Of several processes that start at once one does; the driver has them wait for each
/// other's advisory lock, which goes with the connection.
async fn prepare(options: &PgConnectOptions) -> Result<(), StoreError> {
    // Not of a pool, which would wait for a server that is not there and then not say why.
    let mut connection = timeout(CONNECT, options.connect()).await.map_err(StoreError::unavailable)??;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&mut connection).await?;
    connection.close().await?;
    if encoding != "UTF8" {
        return Err(StoreError::Encoding(encoding));
    }
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options.clone());
    let migrated = MIGRATIONS.run(&pool).await;
    pool.close().await;
    migrated.map_err(|error| migration_error(error, &MIGRATIONS))
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    // What looks like parameters may be a password that was not escaped.
    if query.contains('@') {
        return Err(StoreError::address(url, None));
    }
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let name = parameter.split('=').next().unwrap_or_default();
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
            return Err(StoreError::Parameter(name.to_owned()));
        }
    }
    let options =
        PgConnectOptions::from_str(url).map_err(|error| StoreError::address(url, Some(error.into())))?;
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("trunkline"),
    };
    Ok(options.disable_statement_logging())
}
