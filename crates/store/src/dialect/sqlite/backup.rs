//! A copy of a store's file, as one transaction sees it.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _};

use super::{ACQUIRE, place};
use crate::error::StoreError;

pub(crate) async fn back_up(url: &str, into: &Path) -> Result<bool, StoreError> {
    let Some(path) = place(url)? else { return Ok(false) };
    let options = SqliteConnectOptions::new().filename(&path).busy_timeout(ACQUIRE);
    let mut connection = options.disable_statement_logging().connect().await?;
    let copied = sqlx::query("VACUUM INTO ?1").bind(into.to_string_lossy()).execute(&mut connection).await;
    connection.close().await?;
    copied?;
    let durable = std::fs::File::open(into).and_then(|file| file.sync_all());
    durable.map_err(|source| StoreError::File { path: into.to_owned(), source })?;
    Ok(true)
}
