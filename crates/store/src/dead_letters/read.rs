//! Reading stored dead letters back.

use bytes::Bytes;
use trunkline_core::DeadLetter;

use super::{DeadLetterChange, DeadLetterSummary, StoredDeadLetter};
use crate::dialect::{Row, Statement};
use crate::error::StoreError;
use crate::row;
use crate::store::Store;

/// All of a dead letter but its record, which may be large.
pub(super) const SUMMARY: &str = "SELECT id, channel, contents, state, destination, subscription, source, event_id, \
    event_type, reason, class, status, detail, cause, generation, replays, time FROM dead_letters";

impl Store {
    /// One dead letter, whole.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when its record can't be read back.
    pub async fn dead_letter(&self, id: &str) -> Result<Option<StoredDeadLetter>, StoreError> {
        let query = Statement::new(
            "SELECT id, channel, contents, state, destination, subscription, source, event_id, event_type, reason, \
             class, status, detail, cause, generation, life, replays, time, record FROM dead_letters WHERE id = $1",
        );
        let Some(row) = query.bind(id).first(&self.connections).await? else { return Ok(None) };
        let query = Statement::new(
            "SELECT time, state, changed_by, detail FROM dead_letter_changes WHERE dead_letter_id = $1 ORDER BY time",
        );
        let changes = query.bind(id).all(&self.connections).await?;
        Ok(Some(StoredDeadLetter {
            summary: summary(&row)?,
            life: row::unsigned(&row, "life")?,
            dead_letter: decode(&row, id)?,
            history: changes.iter().map(change).collect::<Result<_, _>>()?,
        }))
    }
}

/// The dead letter in column `record`.
pub(crate) fn decode(row: &Row, id: &str) -> Result<DeadLetter, StoreError> {
    let record: Vec<u8> = row.get("record")?;
    DeadLetter::decode(Bytes::from(record)).map_err(|error| StoreError::Damaged {
        what: format!("dead letter {id}"),
        source: Some(Box::new(error)),
    })
}

pub(super) fn summary(row: &Row) -> Result<DeadLetterSummary, StoreError> {
    Ok(DeadLetterSummary {
        id: row.get("id")?,
        channel: row.get("channel")?,
        contained: row::word(row, "contents")?,
        state: row::word(row, "state")?,
        destination: row.get("destination")?,
        subscription: row.get("subscription")?,
        source: row.get("source")?,
        event_id: row.get("event_id")?,
        kind: row.get("event_type")?,
        reason: row::word(row, "reason")?,
        class: row::optional_word(row, "class")?,
        status: row::optional_unsigned(row, "status")?,
        detail: row.get("detail")?,
        cause: row.get("cause")?,
        generation: row::unsigned(row, "generation")?,
        replays: row::unsigned(row, "replays")?,
        time: row::time(row, "time")?,
    })
}

fn change(row: &Row) -> Result<DeadLetterChange, StoreError> {
    Ok(DeadLetterChange {
        time: row::time(row, "time")?,
        state: row::word(row, "state")?,
        by: row.get("changed_by")?,
        detail: row.get("detail")?,
    })
}
