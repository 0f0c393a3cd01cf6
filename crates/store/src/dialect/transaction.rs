//! Transactions.

use super::Statement;
use super::postgres::Patience;
use crate::error::StoreError;

/// A transaction that writes; dropped without a commit, it changes nothing.
pub(crate) enum Transaction {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Transaction {
    /// Waits until no other transaction that asked for this is open, and keeps others waiting until its own end. What
    /// looks at dead letters and then changes them does so in turn, in every process. Ask before anything else: then
    /// nothing locked already is waited for by whoever has the turn. SQLite has one writer at a time anyway.
    pub(crate) async fn turn_at_dead_letters(&mut self) -> Result<(), StoreError> {
        if let Self::Postgres(_) = self {
            let turn = Statement::new("SELECT name FROM turns WHERE name = 'dead_letters' FOR UPDATE");
            turn.one(&mut *self).await?;
        }
        Ok(())
    }

    /// Makes it so.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.commit().await?),
            Self::Postgres(transaction) => Patience::Usual.wait(transaction.commit()).await,
        }
    }
}
