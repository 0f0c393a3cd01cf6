//! The journey of one event.

use std::time::Duration;

use sqlx::Row as _;
use trunkline_core::FailureClass;
use trunkline_core::journey::JourneyStep;

use crate::dialect::Row;
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
        let query = sqlx::query(
            "SELECT * FROM journey_steps WHERE event_id = $1 AND source = $2 ORDER BY time, sequence",
        );
        let rows = query.bind(id).bind(source).fetch_all(self.connections.read()).await?;
        rows.iter().map(step).collect()
    }
}

fn step(row: &Row) -> Result<JourneyStep, StoreError> {
    Ok(JourneyStep {
        step: row::word(row, "step")?,
        time: row::time(row, "time")?,
        source: row.try_get("source")?,
        id: row.try_get("event_id")?,
        kind: row.try_get("event_type")?,
        key: row.try_get("event_key")?,
        subscription: row.try_get("subscription")?,
        destination: row.try_get("destination")?,
        class: class(row)?,
        status: row::optional_unsigned(row, "status")?,
        attempt: row::unsigned(row, "attempt")?,
        generation: row::unsigned(row, "generation")?,
        replay_id: row.try_get("replay_id")?,
        rule_set: row.try_get("rule_set")?,
        dead_letter_id: row.try_get("dead_letter")?,
        detail: row.try_get("detail")?,
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
