//! Taking journey records in, each once.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Transaction};
use trunkline_core::FailureClass;
use trunkline_core::journey::{JourneyRecord, JourneyStep, Step};

use super::JourneyEntry;
use crate::dead_letters::mark_delivered;
use crate::dialect::{Db, Durability, ROWS};
use crate::error::StoreError;
use crate::row::{integer, micros};
use crate::store::Store;
use crate::words::{ClassKind, Word};

const DAY: i64 = 24 * 3600;

impl Store {
    /// Takes in records of the `journey` channel, in any order; one that was taken in before is passed over, so that
    /// its counts count once. When this returns `Ok` they survive a power failure and may be settled. A step that says a
    /// replayed delivery was delivered settles its dead letter's state.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: none of them is taken in.
    pub async fn insert_journey(&self, entries: &[JourneyEntry]) -> Result<(), StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        for entry in entries {
            if !is_new(&mut transaction, entry).await? {
                continue;
            }
            count(&mut transaction, &entry.record).await?;
            for chunk in entry.record.steps.chunks(ROWS) {
                insert_steps(&mut transaction, chunk).await?;
            }
            for step in entry.record.steps.iter().filter(|step| delivered_again(step)) {
                mark_delivered(&mut transaction, step).await?;
            }
        }
        Ok(transaction.commit().await?)
    }

    /// Forgets at most `limit` steps taken before `before`, and as many notes of records taken in; returns how many steps.
    /// To be called again while it returns `limit`. The counts stay.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn prune_journeys(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.connections.begin(Durability::Relaxed).await?;
        let steps = sqlx::query(
            "DELETE FROM journey_steps WHERE sequence IN \
             (SELECT sequence FROM journey_steps WHERE time < $1 LIMIT $2)",
        );
        let done = steps.bind(micros(before)).bind(i64::from(limit)).execute(&mut *transaction).await?;
        sqlx::query(
            "DELETE FROM journey_records WHERE (channel_partition, channel_offset, time) IN \
             (SELECT channel_partition, channel_offset, time FROM journey_records WHERE time < $1 LIMIT $2)",
        )
        .bind(micros(before))
        .bind(i64::from(limit))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

fn delivered_again(step: &JourneyStep) -> bool {
    step.step == Step::Delivered && step.generation > 0
}

/// The record's time is part of what it is known by, because a broker that was made anew counts its offsets from the
/// beginning again.
async fn is_new(
    transaction: &mut Transaction<'static, Db>,
    entry: &JourneyEntry,
) -> Result<bool, StoreError> {
    let done = sqlx::query("INSERT INTO journey_records VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(i64::from(entry.partition))
        .bind(entry.offset)
        .bind(micros(entry.record.time))
        .execute(&mut **transaction)
        .await?;
    Ok(done.rows_affected() == 1)
}

async fn count(transaction: &mut Transaction<'static, Db>, record: &JourneyRecord) -> Result<(), StoreError> {
    let counts = &record.counts;
    let again = record.steps.iter().filter(|step| delivered_again(step)).count() as u64;
    let mut query = sqlx::query(
        "INSERT INTO journey_counts VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (day, service) DO UPDATE SET \
         accepted = journey_counts.accepted + excluded.accepted, \
         duplicate = journey_counts.duplicate + excluded.duplicate, \
         routed = journey_counts.routed + excluded.routed, \
         filtered = journey_counts.filtered + excluded.filtered, \
         undecodable = journey_counts.undecodable + excluded.undecodable, \
         made = journey_counts.made + excluded.made, \
         attempts = journey_counts.attempts + excluded.attempts, \
         delivered = journey_counts.delivered + excluded.delivered, \
         delivered_again = journey_counts.delivered_again + excluded.delivered_again, \
         dead = journey_counts.dead + excluded.dead, \
         held = journey_counts.held + excluded.held, \
         replayed = journey_counts.replayed + excluded.replayed, \
         discarded = journey_counts.discarded + excluded.discarded",
    )
    .bind(record.time.timestamp().div_euclid(DAY))
    .bind(&record.service);
    // In the order of the table's columns.
    for number in [
        counts.accepted,
        counts.duplicate,
        counts.routed,
        counts.filtered,
        counts.undecodable,
        counts.made,
        counts.attempts,
        counts.delivered,
        again,
        counts.dead,
        counts.held,
        counts.replayed,
        counts.discarded,
    ] {
        query = query.bind(integer(number));
    }
    query.execute(&mut **transaction).await?;
    Ok(())
}

async fn insert_steps(
    transaction: &mut Transaction<'static, Db>,
    steps: &[JourneyStep],
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::<Db>::new(
        "INSERT INTO journey_steps (step, time, source, event_id, event_type, event_key, subscription, destination, \
         class, retry_after, status, attempt, generation, replay_id, rule_set, dead_letter, detail) ",
    );
    query.push_values(steps, |mut row, step| {
        let retry_after = match &step.class {
            Some(FailureClass::Throttled { retry_after }) => Some(i64::try_from(retry_after.as_micros())),
            _ => None,
        };
        row.push_bind(step.step.word()).push_bind(micros(step.time));
        row.push_bind(&step.source).push_bind(&step.id).push_bind(&step.kind).push_bind(&step.key);
        row.push_bind(&step.subscription).push_bind(&step.destination);
        row.push_bind(step.class.as_ref().map(|class| ClassKind::from(class).word()));
        row.push_bind(retry_after.map(|micros| micros.unwrap_or(i64::MAX)));
        row.push_bind(step.status.map(i64::from));
        row.push_bind(i64::from(step.attempt)).push_bind(i64::from(step.generation));
        row.push_bind(&step.replay_id).push_bind(&step.rule_set).push_bind(&step.dead_letter_id);
        row.push_bind(&step.detail);
    });
    query.build().execute(&mut **transaction).await?;
    Ok(())
}
