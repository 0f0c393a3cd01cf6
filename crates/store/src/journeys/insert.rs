//! Taking journey records in, each once.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use trunkline_core::FailureClass;
use trunkline_core::journey::{JourneyRecord, JourneyStep, Step};

use super::JourneyEntry;
use super::steps::stored_key;
use crate::dead_letters::mark_delivered;
use crate::dialect::{Durability, Statement, Table, Transaction};
use crate::error::StoreError;
use crate::row::{integer, micros};
use crate::store::Store;
use crate::words::{ClassKind, Word};

const DAY: i64 = 24 * 3600;
/// How many steps one statement takes at most.
const STEPS: usize = 500;

/// What a record is known by: partition, offset and time. The time, because a broker that was made anew counts its
/// offsets from the beginning again.
type Known = (i64, i64, i64);

impl Store {
    /// Takes in records of the `journey` channel, in any order; one that was taken in before, by whichever process, is
    /// passed over, so that its counts count once. When this returns `Ok` they survive a power failure and may be settled.
    /// A step that says a replayed delivery was delivered settles its dead letter's state.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: none of them is taken in.
    pub async fn insert_journey(&self, entries: &[JourneyEntry]) -> Result<(), StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        if entries.iter().any(|entry| entry.record.steps.iter().any(delivered_again)) {
            transaction.turn_at_dead_letters().await?;
        }
        let mut new = note_new(&mut transaction, entries).await?;
        // One that is among them twice is taken once.
        let new: Vec<&JourneyRecord> =
            entries.iter().filter(|entry| new.remove(&known(entry))).map(|entry| &entry.record).collect();
        let steps: Vec<&JourneyStep> = new.iter().flat_map(|record| &record.steps).collect();
        for chunk in steps.chunks(STEPS) {
            insert_steps(&mut transaction, chunk).await?;
        }
        for step in steps.iter().filter(|step| delivered_again(step)) {
            mark_delivered(&mut transaction, step).await?;
        }
        // Last: these rows are what all consoles share.
        count(&mut transaction, &new).await?;
        transaction.commit().await
    }

    /// Forgets at most `limit` steps taken before `before`, and as many notes of records taken in; returns how many steps.
    /// To be called again while it returns `limit`. The counts stay.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn prune_journeys(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.connections.begin(Durability::Relaxed).await?;
        let mut steps =
            Statement::new("WITH old AS MATERIALIZED (SELECT sequence FROM journey_steps WHERE time < ");
        steps.push_bind(micros(before)).push(" LIMIT ").push_bind(i64::from(limit)).push_skip_locked();
        steps.push(") DELETE FROM journey_steps WHERE sequence IN (SELECT sequence FROM old)");
        let done = steps.execute(&mut transaction).await?;
        let mut records = Statement::new(
            "WITH old AS MATERIALIZED (SELECT channel_partition, channel_offset, time FROM journey_records WHERE time < ",
        );
        records.push_bind(micros(before)).push(" LIMIT ").push_bind(i64::from(limit)).push_skip_locked();
        records.push(
            ") DELETE FROM journey_records WHERE (channel_partition, channel_offset, time) IN \
             (SELECT channel_partition, channel_offset, time FROM old)",
        );
        records.execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

fn delivered_again(step: &JourneyStep) -> bool {
    step.step == Step::Delivered && step.generation > 0
}

fn known(entry: &JourneyEntry) -> Known {
    (i64::from(entry.partition), entry.offset, micros(entry.record.time))
}

/// Notes what is taken in; those among `entries` that were not before. In one order, so that two consoles that were handed
/// the same records wait for each other at the first of them and nowhere else.
async fn note_new(
    transaction: &mut Transaction,
    entries: &[JourneyEntry],
) -> Result<HashSet<Known>, StoreError> {
    let mut all: Vec<Known> = entries.iter().map(known).collect();
    all.sort_unstable();
    let mut query =
        Statement::new("INSERT INTO journey_records (channel_partition, channel_offset, time) SELECT ");
    query.push("entry.channel_partition, entry.channel_offset, entry.time FROM ");
    query.push_table(
        Table::new("entry")
            .integers("channel_partition", all.iter().map(|entry| Some(entry.0)))
            .integers("channel_offset", all.iter().map(|entry| Some(entry.1)))
            .integers("time", all.iter().map(|entry| Some(entry.2))),
    );
    query.push(" WHERE TRUE ON CONFLICT DO NOTHING RETURNING channel_partition, channel_offset, time");
    let rows = query.all(transaction).await?;
    let known = |row: &crate::dialect::Row| {
        Ok((row.get("channel_partition")?, row.get("channel_offset")?, row.get("time")?))
    };
    rows.iter().map(known).collect()
}

/// Adds the counts of new records to the sums, a row of which is written once.
async fn count(transaction: &mut Transaction, records: &[&JourneyRecord]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<(i64, &str), [i64; 13]> = BTreeMap::new();
    for record in records {
        let day = record.time.timestamp().div_euclid(DAY);
        let sum = sums.entry((day, &record.service)).or_default();
        for (sum, number) in sum.iter_mut().zip(numbers(record)) {
            *sum = sum.saturating_add(number);
        }
    }
    for ((day, service), sum) in sums {
        let mut query = Statement::new(
            "INSERT INTO journey_counts (day, service, accepted, duplicate, routed, filtered, undecodable, made, attempts, \
             delivered, delivered_again, dead, held, replayed, discarded) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
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
        .bind(day)
        .bind(service);
        for number in sum {
            query = query.bind(number);
        }
        query.execute(transaction).await?;
    }
    Ok(())
}

/// In the order of the columns.
fn numbers(record: &JourneyRecord) -> [i64; 13] {
    let counts = &record.counts;
    let again = record.steps.iter().filter(|step| delivered_again(step)).count() as u64;
    [
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
    ]
    .map(integer)
}

async fn insert_steps(transaction: &mut Transaction, steps: &[&JourneyStep]) -> Result<(), StoreError> {
    let keys: Vec<String> = steps.iter().map(|step| stored_key(&step.key)).collect();
    let text = |name, get: fn(&JourneyStep) -> &str| (name, steps.iter().map(move |step| Some(get(step))));
    let mut table = Table::new("taken");
    for (name, values) in [
        text("step", |step| step.step.word()),
        text("source", |step| &step.source),
        text("event_id", |step| &step.id),
        text("event_type", |step| &step.kind),
        text("subscription", |step| &step.subscription),
        text("destination", |step| &step.destination),
        text("replay_id", |step| &step.replay_id),
        text("rule_set", |step| &step.rule_set),
        text("dead_letter", |step| &step.dead_letter_id),
        text("detail", |step| &step.detail),
    ] {
        table = table.texts(name, values);
    }
    table = table
        .texts("event_key", keys.iter().map(|key| Some(&**key)))
        .texts(
            "class",
            steps.iter().map(|step| step.class.as_ref().map(|class| ClassKind::from(class).word())),
        )
        .integers("time", steps.iter().map(|step| Some(micros(step.time))))
        .integers("retry_after", steps.iter().map(|step| retry_after(step)))
        .integers("status", steps.iter().map(|step| step.status.map(i64::from)))
        .integers("attempt", steps.iter().map(|step| Some(i64::from(step.attempt))))
        .integers("generation", steps.iter().map(|step| Some(i64::from(step.generation))));
    let mut query = Statement::new(
        "INSERT INTO journey_steps (step, time, source, event_id, event_type, event_key, subscription, destination, \
         class, retry_after, status, attempt, generation, replay_id, rule_set, dead_letter, detail) \
         SELECT step, time, source, event_id, event_type, event_key, subscription, destination, \
         class, retry_after, status, attempt, generation, replay_id, rule_set, dead_letter, detail FROM ",
    );
    query.push_table(table).push(" ORDER BY position");
    query.execute(transaction).await?;
    Ok(())
}

fn retry_after(step: &JourneyStep) -> Option<i64> {
    match &step.class {
        Some(FailureClass::Throttled { retry_after }) => {
            Some(i64::try_from(retry_after.as_micros()).unwrap_or(i64::MAX))
        }
        _ => None,
    }
}
