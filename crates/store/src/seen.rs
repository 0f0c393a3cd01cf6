//! The window of event ids that a gateway has seen: what makes a platform's re-send a duplicate.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row as _};

use crate::dialect::{Db, Durability, ROWS};
use crate::error::StoreError;
use crate::row::micros;
use crate::store::Store;

/// What identifies an event for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
}

impl Store {
    /// Which of `ids` were marked at `since` or later, by index.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: accept undeduplicated.
    pub async fn seen(&self, ids: &[EventId], since: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
        let mut found = HashSet::new();
        for chunk in ids.chunks(ROWS) {
            // The time is compared here: in the statement it would have SQLite walk the whole window by its index.
            let mut query =
                QueryBuilder::<Db>::new("SELECT source, id, time FROM seen WHERE (source, id) IN (");
            query.push_values(chunk, |mut row, event| {
                row.push_bind(&event.source).push_bind(&event.id);
            });
            query.push(")");
            for row in query.build().fetch_all(self.connections.read()).await? {
                if row.try_get::<i64, _>("time")? >= micros(since) {
                    found.insert(EventId { source: row.try_get("source")?, id: row.try_get("id")? });
                }
            }
        }
        Ok(ids.iter().map(|event| found.contains(event)).collect())
    }

    /// Marks ids as seen at `now`; to be called after the broker confirmed their events. One marked before is marked
    /// anew. A power failure may take back the last moments.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: none of them is marked.
    pub async fn mark_seen(&self, ids: &[EventId], now: DateTime<Utc>) -> Result<(), StoreError> {
        // One statement must not touch a row twice.
        let mut distinct: Vec<&EventId> = ids.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut transaction = self.connections.begin(Durability::Relaxed).await?;
        for chunk in distinct.chunks(ROWS) {
            let mut query = QueryBuilder::<Db>::new("INSERT INTO seen (source, id, time) ");
            query.push_values(chunk, |mut row, event| {
                row.push_bind(&event.source).push_bind(&event.id).push_bind(micros(now));
            });
            query.push(" ON CONFLICT (source, id) DO UPDATE SET time = excluded.time");
            query.build().execute(&mut *transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Forgets at most `limit` ids marked before `before`; returns how many. To be called again while it returns `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn prune_seen(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.connections.begin(Durability::Relaxed).await?;
        let done = sqlx::query(
            "DELETE FROM seen WHERE (source, id) IN (SELECT source, id FROM seen WHERE time < $1 LIMIT $2)",
        )
        .bind(micros(before))
        .bind(i64::from(limit))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}
