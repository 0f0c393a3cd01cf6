//! A look at a database.

use std::time::SystemTime;

use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection as _, Executor as _};
use tokio::time::timeout;
use trunkline_core::{Clock, Fault};

use super::{CONNECT, MIGRATIONS, options};
use crate::error::StoreError;
use crate::examine::{StoreExamination, judge_schema, tables};

/// PostgreSQL 15, as the server numbers itself.
const OLDEST: i32 = 150_000;

pub(crate) async fn examine(url: &str, found: &mut StoreExamination) -> Result<(), StoreError> {
    let options = options(url)?;
    let mut connection =
        timeout(CONNECT, Box::pin(options.connect())).await.map_err(StoreError::unavailable)??;
    // Whatever is asked below, the server itself would refuse to change anything.
    connection.execute("SET default_transaction_read_only = on").await?;
    let looked = look(&mut connection, found).await;
    connection.close().await?;
    looked
}

async fn look(connection: &mut PgConnection, found: &mut StoreExamination) -> Result<(), StoreError> {
    server(connection, found).await?;
    clock(connection, found).await?;
    let may_create: bool =
        sqlx::query_scalar("SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)")
            .fetch_one(&mut *connection)
            .await?;
    let there: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    let readable: bool = match there {
        true => {
            sqlx::query_scalar("SELECT has_table_privilege('_sqlx_migrations', 'SELECT')")
                .fetch_one(&mut *connection)
                .await?
        }
        false => false,
    };
    let applied: Vec<(i64, bool)> = if readable {
        sqlx::query_as("SELECT version, success FROM _sqlx_migrations").fetch_all(&mut *connection).await?
    } else {
        Vec::new()
    };
    if !there || readable {
        judge_schema(&applied, &MIGRATIONS, may_create, found);
    }
    rights(connection, found).await
}

async fn server(connection: &mut PgConnection, found: &mut StoreExamination) -> Result<(), StoreError> {
    let (version, number, encoding, standby): (String, i32, String, bool) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, \
         current_setting('server_encoding'), pg_is_in_recovery()",
    )
    .fetch_one(connection)
    .await?;
    found.seen(format!("PostgreSQL {version}"));
    if number < OLDEST {
        let problem = format!("PostgreSQL {version} is too old: the store needs 15 or later");
        found.error((), Fault::Version, problem, "upgrade the server");
    }
    if encoding != "UTF8" {
        let problem = format!("the database's encoding is {encoding}, which can't hold every text");
        found.error((), Fault::Differs, problem, "make one with `CREATE DATABASE .. ENCODING 'UTF8'`");
    }
    if standby {
        let problem = "the server is a standby: nothing can be written to it";
        found.error((), Fault::Unsafe, problem, "name the primary in `store`");
    }
    Ok(())
}

async fn clock(connection: &mut PgConnection, found: &mut StoreExamination) -> Result<(), StoreError> {
    let before = now();
    let theirs: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
        .fetch_one(connection)
        .await?;
    let after = now();
    let within_ms = (after - before) / 2 + 1;
    found.clocks.push(Clock {
        whose: "PostgreSQL".to_owned(),
        ours_ahead_ms: before.midpoint(after) - theirs,
        within_ms,
    });
    Ok(())
}

/// Tables that are there and that the user may not use.
async fn rights(connection: &mut PgConnection, found: &mut StoreExamination) -> Result<(), StoreError> {
    let mut names = tables(&MIGRATIONS);
    names.push("_sqlx_migrations".to_owned());
    let refused: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() AND tablename = ANY($1) AND NOT \
         (has_table_privilege(quote_ident(tablename), 'SELECT') AND has_table_privilege(quote_ident(tablename), 'INSERT') \
         AND has_table_privilege(quote_ident(tablename), 'UPDATE') AND has_table_privilege(quote_ident(tablename), 'DELETE')) \
         ORDER BY 1",
    )
    .bind(names)
    .fetch_all(connection)
    .await?;
    if !refused.is_empty() {
        let problem = format!("the user may not read and write the tables {}", refused.join(", "));
        let remedy = "make the user their owner, or `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA .. TO USER`";
        found.error((), Fault::Permission, problem, remedy);
    }
    Ok(())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
