//! A look at a store's file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _};
use trunkline_core::Fault;

use super::{MIGRATIONS, place};
use crate::error::StoreError;
use crate::examine::{StoreExamination, judge_schema};

/// How long a writer may keep us from reading.
const BUSY: Duration = Duration::from_secs(2);

pub(crate) async fn examine(url: &str, found: &mut StoreExamination) -> Result<(), StoreError> {
    let Some(path) = place(url)? else {
        found.seen("a store in memory");
        return Ok(());
    };
    found.written.push(path.clone());
    if path.is_dir() {
        let problem = format!("{} is a directory, not a file", path.display());
        found.error((), Fault::Unreachable, problem, "name a file: `store: sqlite:./data/store.db`");
        return Ok(());
    }
    if !path.exists() {
        found.seen(format!("{} is not there yet; the first start makes it", path.display()));
        return writable(&path, found);
    }
    // Opened for writing and closed again, which changes nothing and says what the operating system permits.
    let opened = std::fs::OpenOptions::new().write(true).open(&path);
    drop(opened.map_err(|source| StoreError::File { path: path.clone(), source })?);
    // Without a log nobody has it open: it is read as it stands, and no log is made for that.
    let mut log = path.clone().into_os_string();
    log.push("-wal");
    let at_rest = !Path::new(&log).exists();
    let options = SqliteConnectOptions::new().filename(&path).read_only(true).immutable(at_rest);
    let mut connection = options.busy_timeout(BUSY).disable_statement_logging().connect().await?;
    let looked = applied(&mut connection).await;
    connection.close().await?;
    judge_schema(&looked?, &MIGRATIONS, true, found);
    Ok(())
}

async fn applied(connection: &mut sqlx::SqliteConnection) -> Result<Vec<(i64, bool)>, StoreError> {
    let there: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await?;
    if there == 0 {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_as("SELECT version, success FROM _sqlx_migrations").fetch_all(connection).await?)
}

/// Whether the nearest folder that is there may be written to, by its permissions alone: nothing is made to try it.
fn writable(path: &Path, found: &mut StoreExamination) -> Result<(), StoreError> {
    let folder = path.ancestors().skip(1).find(|folder| folder.exists());
    let folder: PathBuf =
        folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).into();
    let metadata =
        std::fs::metadata(&folder).map_err(|source| StoreError::File { path: folder.clone(), source })?;
    if !metadata.is_dir() || metadata.permissions().readonly() {
        let problem = format!(
            "{} can't be made: {} is no folder that can be written to",
            path.display(),
            folder.display()
        );
        found.error(
            (),
            Fault::Permission,
            problem,
            "name another file, or give the folder to the user that the bus runs as",
        );
    }
    Ok(())
}
