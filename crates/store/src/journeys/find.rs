//! Finding events of which only a part of the id, or the type, is known.

use super::{EventFilter, EventSummary};
use crate::dialect::{Row, Statement};
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
        let mut query = Statement::new(
            "SELECT source, event_id, event_type, MIN(time) AS first, MAX(time) AS last, \
             MAX(sequence) AS last_sequence FROM journey_steps WHERE event_id <> ''",
        );
        if let Some(id) = &filter.id {
            query.push(" AND event_id = ").push_bind(id);
            query.push(" AND substr(event_id, 1, 200) = ").push_bind(indexed(id));
        }
        if let Some(prefix) = &filter.id_prefix {
            // No text that begins with the prefix is above the prefix followed by the highest character.
            let last = format!("{prefix}\u{10ffff}");
            query.push(" AND substr(event_id, 1, 200) >= ").push_bind(indexed(prefix));
            query
                .push(" AND substr(event_id, 1, 200) <= ")
                .push_bind(format!("{}\u{10ffff}", indexed(prefix)));
            query.push(" AND event_id >= ").push_bind(prefix).push(" AND event_id <= ").push_bind(last);
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
        for row in query.all(&self.connections).await? {
            events.push(self.event_summary(&row).await?);
        }
        Ok(events)
    }

    async fn event_summary(&self, row: &Row) -> Result<EventSummary, StoreError> {
        let query = Statement::new("SELECT step FROM journey_steps WHERE sequence = $1");
        let last = query.bind(row.get::<i64>("last_sequence")?);
        Ok(EventSummary {
            source: row.get("source")?,
            id: row.get("event_id")?,
            kind: row.get("event_type")?,
            first: row::time(row, "first")?,
            last: row::time(row, "last")?,
            last_step: row::word(&last.one(&self.connections).await?, "step")?,
        })
    }
}

/// The part of an event's id that PostgreSQL's index has: an index takes no text of any length.
pub(super) fn indexed(id: &str) -> &str {
    id.char_indices().nth(200).map_or(id, |(end, _)| &id[..end])
}
