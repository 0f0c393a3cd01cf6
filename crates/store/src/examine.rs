//! A look at a store without opening it: no lock is taken, nothing is made, no schema is brought up to date.

use sqlx::migrate::Migrator;
use trunkline_core::{Examination, Fault};

use crate::dialect;
use crate::error::StoreError;

/// What is looked at is the store as a whole, named by its address.
pub type StoreExamination = Examination<()>;

/// Looks at the store at `url`, as [`crate::Store::open`] understands it, and fills `found` as it goes: whoever calls may
/// drop the future when its time is up. May run beside processes that have the store open.
pub async fn examine(url: &str, found: &mut StoreExamination) {
    let looked = if dialect::is_postgres(url) {
        dialect::examine_postgres(url, found).await
    } else {
        dialect::examine_sqlite(url, found).await
    };
    if let Err(error) = looked {
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        let problem = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
        let (fault, remedy) = match &error {
            StoreError::Unavailable(_) => (
                Fault::Unreachable,
                "check that the server runs, host and port, user and password, and that the database exists",
            ),
            StoreError::File { .. } => (Fault::Permission, "give the file to the user that the bus runs as"),
            StoreError::Damaged { .. } => (Fault::Unsafe, "restore the store from a copy"),
            _ => (Fault::Unreachable, "correct `store`, or the user's rights in the database"),
        };
        found.error((), fault, problem, remedy);
    }
}

/// Judges what migrations a store says it has had. `may_change` is whether a start could bring it up to date.
pub(crate) fn judge_schema(
    applied: &[(i64, bool)],
    migrations: &Migrator,
    may_change: bool,
    found: &mut StoreExamination,
) {
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    let has = applied.iter().map(|(version, _)| *version).max().unwrap_or_default();
    if let Some((version, _)) = applied.iter().find(|(_, whole)| !whole) {
        let problem = format!("the store's schema stopped halfway in version {version}");
        let remedy = "restore the store from a copy from before the upgrade, and see the log of the process that tried it";
        return found.error((), Fault::Unsafe, problem, remedy);
    }
    if has > known {
        let problem = format!("the store has schema {has}, this version knows up to {known}");
        let remedy = "run the newer version, or restore a copy from before it";
        return found.error((), Fault::Version, problem, remedy);
    }
    if has == known {
        return found.seen(format!("schema {has}"));
    }
    if may_change {
        return found.seen(format!("schema {has}; the next start brings it to {known}"));
    }
    let problem =
        format!("the store has schema {has}, this version needs {known}, and the user may not create tables");
    let remedy = "grant CREATE on the schema (PostgreSQL 15 and later grant it to nobody in `public`), or give the user a \
                  database of its own";
    found.error((), Fault::Permission, problem, remedy);
}

/// The tables that migrations make.
pub(crate) fn tables(migrations: &Migrator) -> Vec<String> {
    let made = |sql: &str| -> Vec<String> {
        let after = sql.split("CREATE TABLE ").skip(1);
        after.filter_map(|rest| rest.split([' ', '(']).next().map(str::to_owned)).collect()
    };
    migrations.iter().flat_map(|migration| made(migration.sql.as_str())).collect()
}
