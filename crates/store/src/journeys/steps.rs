//! The journey of one event.

use std::time::Duration;

use trunkline_core::FailureClass;
use trunkline_core::journey::JourneyStep;

use super::find::indexed;
use crate::dialect::{Row, Statement};
use crate::error::StoreError;
use crate::row;
use crate::store::Store;
use crate::words::ClassKind;

impl Store {
    /// All steps of one event, in the order of their times.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn journey(&self, source: &str, id: &str) -> Result<Vec<JourneyStep>, StoreError> {
        let query = Statement::new(
            "SELECT step, time, source, event_id, event_type, event_key, subscription, destination, class, retry_after, \
             status, attempt, generation, replay_id, rule_set, dead_letter, detail FROM journey_steps \
             WHERE event_id = $1 AND substr(event_id, 1, 200) = $2 AND source = $3 ORDER BY time, sequence",
        );
        let rows = query.bind(id).bind(indexed(id)).bind(source).all(&self.connections).await?;
        rows.iter().map(step).collect()
    }
}

/// A key as it can be stored: keys made of source and id have a NUL between them, and no other control character.
pub(super) fn stored_key(key: &str) -> String {
    key.replace('\0', "\u{1}")
}

fn key(stored: &str) -> String {
    stored.replace('\u{1}', "\0")
}

fn step(row: &Row) -> Result<JourneyStep, StoreError> {
    Ok(JourneyStep {
        step: row::word(row, "step")?,
        time: row::time(row, "time")?,
        source: row.get("source")?,
        id: row.get("event_id")?,
        kind: row.get("event_type")?,
        key: key(row.get("event_key")?),
        subscription: row.get("subscription")?,
        destination: row.get("destination")?,
        class: class(row)?,
        status: row::optional_unsigned(row, "status")?,
        attempt: row::unsigned(row, "attempt")?,
        generation: row::unsigned(row, "generation")?,
        replay_id: row.get("replay_id")?,
        rule_set: row.get("rule_set")?,
        dead_letter_id: row.get("dead_letter")?,
        detail: row.get("detail")?,
    })
}

fn class(row: &Row) -> Result<Option<FailureClass>, StoreError> {
    let Some(kind) = row::optional_word(row, "class")? else { return Ok(None) };
    Ok(Some(match kind {
        ClassKind::Transient => FailureClass::Transient,
        ClassKind::Throttled => {
            let micros = row::optional_unsigned(row, "retry_after")?.unwrap_or_default();
            FailureClass::Throttled { retry_after: Duration::from_micros(micros) }
        }
        ClassKind::Rejected => FailureClass::Rejected,
        ClassKind::Halted => FailureClass::Halted,
    }))
}
