//! What happens to stored dead letters.

use chrono::{DateTime, Utc};
use trunkline_core::journey::JourneyStep;

use super::{DeadLetterFilter, DeadLetterState, push_filter};
use crate::dialect::{Durability, Statement, Transaction};
use crate::error::StoreError;
use crate::row::micros;
use crate::store::Store;
use crate::words::Word;

impl Store {
    /// Gives up the waiting dead letters that `filter` means; returns their ids. Those in other states are left alone.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: none is given up.
    pub async fn discard_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        reason: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        transaction.turn_at_dead_letters().await?;
        let mut query = Statement::new(CHANGE);
        query
            .push(" SELECT id, ")
            .push_bind(micros(now))
            .push(", ")
            .push_bind(DeadLetterState::Discarded.word());
        query.push(", ").push_bind(by).push(", ").push_bind(reason).push(" FROM dead_letters");
        push_filter(&mut query, filter);
        query.push(" AND state = 'waiting'");
        query.execute(&mut transaction).await?;

        let mut query = Statement::new("UPDATE dead_letters SET state = ");
        query.push_bind(DeadLetterState::Discarded.word());
        push_filter(&mut query, filter);
        query.push(" AND state = 'waiting' RETURNING id");
        let rows = query.all(&mut transaction).await?;
        transaction.commit().await?;
        rows.iter().map(|row| row.get("id")).collect()
    }
}

/// A replayed delivery was delivered: so was the dead letter that stands for it, unless a later life is on its way.
pub(crate) async fn mark_delivered(
    transaction: &mut Transaction,
    step: &JourneyStep,
) -> Result<(), StoreError> {
    let changed = Statement::new(
        "UPDATE dead_letters SET state = $1 \
         WHERE event_id = $2 AND source = $3 AND destination = $4 AND subscription = $5 \
         AND generation <= $6 AND life <= $6 AND state IN ('waiting', 'replaying', 'discarded') RETURNING id",
    )
    .bind(DeadLetterState::Delivered.word())
    .bind(&step.id)
    .bind(&step.source)
    .bind(&step.destination)
    .bind(&step.subscription)
    .bind(i64::from(step.generation))
    .all(&mut *transaction)
    .await?;
    for row in changed {
        note(
            transaction,
            row.get("id")?,
            step.time,
            DeadLetterState::Delivered,
            "trunkline",
            &step.replay_id,
        )
        .await?;
    }
    Ok(())
}

/// The beginning of what adds to the history of dead letters.
pub(crate) const CHANGE: &str =
    "INSERT INTO dead_letter_changes (dead_letter_id, time, state, changed_by, detail)";

pub(super) async fn set_state(
    transaction: &mut Transaction,
    id: &str,
    state: DeadLetterState,
) -> Result<(), StoreError> {
    Statement::new("UPDATE dead_letters SET state = $1 WHERE id = $2")
        .bind(state.word())
        .bind(id)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Adds to a dead letter's history.
pub(super) async fn note(
    transaction: &mut Transaction,
    id: &str,
    time: DateTime<Utc>,
    state: DeadLetterState,
    by: &str,
    detail: &str,
) -> Result<(), StoreError> {
    let mut query = Statement::new(CHANGE);
    query.push(" VALUES ($1, $2, $3, $4, $5)");
    query.bind(id).bind(micros(time)).bind(state.word()).bind(by).bind(detail).execute(transaction).await?;
    Ok(())
}
