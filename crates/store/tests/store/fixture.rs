//! A store of a test's own.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use trunkline_store::Store;
use xtask::brokers;

/// An open store, on whichever database.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) database: Database,
}

/// Where a store is kept; goes when this does.
pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres(Schema),
}

/// A schema of the shared PostgreSQL.
pub(crate) struct Schema {
    server: String,
    name: String,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        Self::on(Database::Sqlite(tempfile::tempdir().unwrap())).await
    }

    /// None in a run without brokers.
    pub(crate) async fn postgres(case: &str) -> Option<Self> {
        Some(Self::on(Database::Postgres(Schema::new(case).await?)).await)
    }

    async fn on(database: Database) -> Self {
        Self { store: Store::open(&database.url()).await.unwrap(), database }
    }

    /// The same store after a restart.
    pub(crate) async fn reopened(self) -> Self {
        let Self { store, database } = self;
        store.close().await;
        drop(store);
        Self::on(database).await
    }

    /// The store as another process would have it; on SQLite there is only this one.
    pub(crate) async fn another(&self) -> Store {
        match &self.database {
            Database::Sqlite(_) => self.store.clone(),
            Database::Postgres(_) => Store::open(&self.database.url()).await.unwrap(),
        }
    }
}

impl Database {
    /// The store's address.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("data/store.db").display()),
            Self::Postgres(schema) => schema.url(),
        }
    }

    /// Does something to the store's tables behind its back.
    pub(crate) async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(folder) => {
                let path = folder.path().join("data/store.db");
                let mut connection = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres(schema) => {
                let mut connection = PgConnection::connect(&schema.url()).await.unwrap();
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}

impl Schema {
    pub(crate) async fn new(case: &str) -> Option<Self> {
        let server = brokers::shared_or_skip(case).unwrap()?.postgres().unwrap().url;
        let schema = Self { server, name: format!("store_{}", uuid::Uuid::new_v4().simple()) };
        let mut connection = PgConnection::connect(&schema.server).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {}", schema.name))).await.unwrap();
        connection.close().await.unwrap();
        Some(schema)
    }

    pub(crate) fn url(&self) -> String {
        let mark = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{mark}options[search_path]={}", self.server, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (server, sql) = (self.server.clone(), format!("DROP SCHEMA {} CASCADE", self.name));
        // A runtime can't wait for another one on its own thread.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await.unwrap();
                connection.execute(AssertSqlSafe(sql)).await.unwrap();
            });
        });
        // A server that is gone took the schema along.
        dropping.join().ok();
    }
}
