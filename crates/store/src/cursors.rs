//! How far polling sources have read their platforms.

use chrono::{DateTime, Utc};

use crate::dialect::Durability;
use crate::error::StoreError;
use crate::row::micros;
use crate::store::Store;

impl Store {
    /// The cursor that `source` set last; what it means is the source's own.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn cursor(&self, source: &str) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT value FROM cursors WHERE source = $1").bind(source);
        Ok(query.fetch_optional(self.connections.read()).await?)
    }

    /// Sets the cursor of `source`; to be called after the broker confirmed what was read up to there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn set_cursor(&self, source: &str, value: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        sqlx::query(
            "INSERT INTO cursors (source, value, time) VALUES ($1, $2, $3) \
             ON CONFLICT (source) DO UPDATE SET value = excluded.value, time = excluded.time",
        )
        .bind(source)
        .bind(value)
        .bind(micros(now))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }
}
