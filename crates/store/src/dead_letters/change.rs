//! What happens to stored dead letters.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Transaction};
use trunkline_core::journey::JourneyStep;

use super::{DeadLetterFilter, DeadLetterState, push_filter};
use crate::dialect::{Db, Durability};
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
        let mut query = QueryBuilder::<Db>::new("INSERT INTO dead_letter_changes SELECT id, ");
        query.push_bind(micros(now)).push(", ").push_bind(DeadLetterState::Discarded.word());
        query.push(", ").push_bind(by).push(", ").push_bind(reason).push(" FROM dead_letters");
        push_filter(&mut query, filter);
        query.push(" AND state = 'waiting'");
        query.build().execute(&mut *transaction).await?;

        let mut query = QueryBuilder::<Db>::new("UPDATE dead_letters SET state = ");
        query.push_bind(DeadLetterState::Discarded.word());
        push_filter(&mut query, filter);
        query.push(" AND state = 'waiting' RETURNING id");
        let ids = query.build_query_scalar().fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(ids)
    }
}

/// A replayed delivery was delivered: so was the dead letter that stands for it, unless a later life is on its way.
pub(crate) async fn mark_delivered(
    transaction: &mut Transaction<'static, Db>,
    step: &JourneyStep,
) -> Result<(), StoreError> {
    let ids: Vec<String> = sqlx::query_scalar(
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
    .fetch_all(&mut **transaction)
    .await?;
    for id in ids {
        note(transaction, &id, step.time, DeadLetterState::Delivered, "trunkline", &step.replay_id).await?;
    }
    Ok(())
}

pub(super) async fn set_state(
    transaction: &mut Transaction<'static, Db>,
    id: &str,
    state: DeadLetterState,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE dead_letters SET state = $1 WHERE id = $2")
        .bind(state.word())
        .bind(id)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Adds to a dead letter's history.
pub(super) async fn note(
    transaction: &mut Transaction<'static, Db>,
    id: &str,
    time: DateTime<Utc>,
    state: DeadLetterState,
    by: &str,
    detail: &str,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO dead_letter_changes VALUES ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(micros(time))
        .bind(state.word())
        .bind(by)
        .bind(detail)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}
