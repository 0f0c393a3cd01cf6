//! What the errors of the databases mean to a caller.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgDatabaseError;

use crate::error::StoreError;

/// What a database's own code means.
enum Meaning {
    NotNow,
    Refused,
    Damaged,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let meaning = match &error {
            sqlx::Error::ColumnDecode { index, .. } => {
                let what = format!("column {index}");
                return Self::Damaged { what, source: Some(Box::new(error)) };
            }
            sqlx::Error::Decode(_) => Meaning::Damaged,
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                match database.try_downcast_ref::<PgDatabaseError>() {
                    Some(_) => sqlstate(&code),
                    None => sqlite_code(code.parse().unwrap_or_default()),
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Meaning::NotNow,
            _ => Meaning::Refused,
        };
        let cause = Box::new(error);
        match meaning {
            Meaning::NotNow => Self::Unavailable(cause),
            Meaning::Refused => Self::Refused(cause),
            Meaning::Damaged => Self::Damaged { what: "a value".to_owned(), source: Some(cause) },
        }
    }
}

/// PostgreSQL, appendix "Error Codes": the first two characters are the class.
fn sqlstate(code: &str) -> Meaning {
    match code {
        // A standby that was not promoted yet.
        "25006" => Meaning::NotNow,
        "XX001" | "XX002" => Meaning::Damaged,
        _ => match code.get(..2) {
            // Connections, credentials and databases (which may come back), deadlocks, resources, locks, operators, disks.
            Some("08" | "28" | "3D" | "40" | "53" | "55" | "57" | "58") => Meaning::NotNow,
            _ => Meaning::Refused,
        },
    }
}

/// SQLite, "Result and Error Codes"; the low byte of an extended code is its primary one.
fn sqlite_code(code: u32) -> Meaning {
    match code & 0xff {
        // SQLITE_CORRUPT, SQLITE_NOTADB.
        11 | 26 => Meaning::Damaged,
        // SQLITE_ERROR, SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_MISUSE, SQLITE_RANGE.
        1 | 18 | 19 | 20 | 21 | 25 => Meaning::Refused,
        _ => Meaning::NotNow,
    }
}

pub(super) fn migration_error(error: MigrateError, migrations: &Migrator) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) => {
            let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
            StoreError::Newer { found, known }
        }
        MigrateError::Execute(error) => error.into(),
        error => StoreError::Migration(Box::new(error)),
    }
}
