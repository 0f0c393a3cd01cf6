//! Finding events of which only a part of the id, or the type, is known.

use sqlx::{QueryBuilder, Row as _};

use super::{EventFilter, EventSummary};
use crate::dialect::{Db, Row};
use crate::error::StoreError;
use crate::row;
use crate::store::Store;

impl Store {
    /// The events that `filter` means, the one with the latest step first, at most `limit`. Records that are no event
    /// have no id and are not among them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn find_events(
        &self,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<EventSummary>, StoreError> {
        let mut query = QueryBuilder::<Db>::new(
            "SELECT source, event_id, event_type, MIN(time) AS first, MAX(time) AS last, \
             MAX(sequence) AS last_sequence FROM journey_steps WHERE event_id <> ''",
        );
        if let Some(id) = &filter.id {
            query.push(" AND event_id = ").push_bind(id);
        }
        if let Some(prefix) = &filter.id_prefix {
            query.push(" AND event_id >= ").push_bind(prefix);
            // No text that begins with the prefix is above the prefix followed by the highest character.
            query.push(" AND event_id <= ").push_bind(format!("{prefix}\u{10ffff}"));
        }
        if let Some(source) = &filter.source {
            query.push(" AND source = ").push_bind(source);
        }
        if let Some(kind) = &filter.kind {
            query.push(" AND event_type = ").push_bind(kind);
        }
        if let Some(since) = filter.since {
            query.push(" AND time >= ").push_bind(row::micros(since));
        }
        if let Some(until) = filter.until {
            query.push(" AND time < ").push_bind(row::micros(until));
        }
        query.push(" GROUP BY source, event_id, event_type ORDER BY last DESC, last_sequence DESC LIMIT ");
        query.push_bind(i64::from(limit));
        let mut events = Vec::new();
        for row in query.build().fetch_all(self.connections.read()).await? {
            events.push(self.event_summary(&row).await?);
        }
        Ok(events)
    }

    async fn event_summary(&self, row: &Row) -> Result<EventSummary, StoreError> {
        let query = sqlx::query("SELECT step FROM journey_steps WHERE sequence = $1");
        let last = query.bind(row.try_get::<i64, _>("last_sequence")?);
        Ok(EventSummary {
            source: row.try_get("source")?,
            id: row.try_get("event_id")?,
            kind: row.try_get("event_type")?,
            first: row::time(row, "first")?,
            last: row::time(row, "last")?,
            last_step: row::word(&last.fetch_one(self.connections.read()).await?, "step")?,
        })
    }
}
