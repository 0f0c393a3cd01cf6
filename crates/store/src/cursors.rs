//! How far polling sources have read their platforms.

use chrono::{DateTime, Utc};

use crate::dialect::{Durability, Statement};
use crate::error::StoreError;
use crate::row::micros;
use crate::store::Store;

impl Store {
    /// The cursor that `source` set last; what it means is the source's own.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn cursor(&self, source: &str) -> Result<Option<String>, StoreError> {
        let query = Statement::new("SELECT value FROM cursors WHERE source = $1").bind(source);
        query.first(&self.connections).await?.map(|row| row.get("value")).transpose()
    }

    /// Sets the cursor of `source`, a text without NUL; to be called after the broker confirmed what was read up to there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Refused`] for a NUL.
    pub async fn set_cursor(&self, source: &str, value: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        if value.contains('\0') {
            return Err(StoreError::Refused("a cursor with NUL".into()));
        }
        let mut transaction = self.connections.begin(Durability::Full).await?;
        Statement::new(
            "INSERT INTO cursors (source, value, time) VALUES ($1, $2, $3) \
             ON CONFLICT (source) DO UPDATE SET value = excluded.value, time = excluded.time",
        )
        .bind(source)
        .bind(value)
        .bind(micros(now))
        .execute(&mut transaction)
        .await?;
        transaction.commit().await
    }
}
