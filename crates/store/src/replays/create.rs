//! Making a replay: the selection is frozen.

use chrono::{DateTime, Utc};

use super::select::refusal;
use super::{NewReplay, Refusal, ReplayState};
use crate::dead_letters::DeadLetterState;
use crate::dialect::{Durability, Statement, Table, Transaction};
use crate::error::StoreError;
use crate::row::{self, integer, micros};
use crate::store::Store;
use crate::words::Word;

/// How many dead letters one statement takes at most.
const AT_ONCE: usize = 1000;

impl Store {
    /// Makes a replay of the dead letters `ids`, in this order, and marks them as replaying. What has changed since the
    /// selection is judged again; the refused, and only they, are returned and are no items. A dead letter of another
    /// channel than the replay's destination is refused: a replay reaches only the destination whose dead letters it replays.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is a replay of that id; [`StoreError::Unavailable`]: nothing was made.
    pub async fn create_replay(
        &self,
        replay: &NewReplay,
        ids: &[String],
        max_replays: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, Refusal)>, StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        transaction.turn_at_dead_letters().await?;
        insert_replay(&mut transaction, replay, now).await?;
        let mut refused = Vec::new();
        let mut position = 0;
        for chunk in ids.chunks(AT_ONCE) {
            let items = judge(&mut transaction, replay, chunk, max_replays, &mut refused).await?;
            insert_items(&mut transaction, &replay.id, &items, position).await?;
            position += items.len() as u64;
        }
        start_lives(&mut transaction, replay, now).await?;
        if position == 0 {
            super::items::end(&mut transaction, &replay.id, ReplayState::Done, now).await?;
        }
        transaction.commit().await?;
        Ok(refused)
    }
}

async fn insert_replay(
    transaction: &mut Transaction,
    replay: &NewReplay,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let filter = serde_json::to_string(&replay.filter).map_err(|error| StoreError::Damaged {
        what: "the filter".to_owned(),
        source: Some(Box::new(error)),
    })?;
    let inserted = Statement::new(
        "INSERT INTO replays (id, destination, filter, created_by, created, forced, as_it_was, rate, state) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&replay.id)
    .bind(&replay.destination)
    .bind(filter)
    .bind(&replay.by)
    .bind(micros(now))
    .bind(replay.forced)
    .bind(replay.as_it_was)
    .bind(replay.rate)
    .bind(ReplayState::Running.word())
    .execute(transaction)
    .await?;
    if inserted == 0 {
        return Err(StoreError::Conflict { what: "replay", id: replay.id.clone() });
    }
    Ok(())
}

/// A dead letter that becomes an item.
struct Judged {
    id: String,
    generation: i64,
    previous: &'static str,
}

/// The items of one chunk, in the order of `ids`; unknown and repeated ids are left out.
async fn judge(
    transaction: &mut Transaction,
    replay: &NewReplay,
    ids: &[String],
    max_replays: u32,
    refused: &mut Vec<(String, Refusal)>,
) -> Result<Vec<Judged>, StoreError> {
    let mut query =
        Statement::new("SELECT id, channel, contents, state, replays, life FROM dead_letters WHERE ");
    query.push_any_of("id", ids);
    let rows = query.all(transaction).await?;
    let mut rows: std::collections::HashMap<String, _> =
        rows.into_iter().map(|row| Ok((row.get("id")?, row))).collect::<Result<_, StoreError>>()?;
    let mut items = Vec::with_capacity(rows.len());
    for id in ids {
        let Some(row) = rows.remove(id) else { continue };
        let state = row::word(&row, "state")?;
        let replays = row::unsigned(&row, "replays")?;
        let other = row.get::<&str>("channel")? != replay.destination;
        let refusal = match other {
            true => Some(Refusal::OtherDestination),
            false => refusal(row::word(&row, "contents")?, state, replays, replay.forced, max_replays),
        };
        match refusal {
            Some(refusal) => refused.push((id.clone(), refusal)),
            None => items.push(Judged {
                id: id.clone(),
                generation: row.get::<i64>("life")? + 1,
                // Should this item be skipped, nothing is known of the life that was on its way before.
                previous: match state {
                    DeadLetterState::Replaying => DeadLetterState::Waiting.word(),
                    state => state.word(),
                },
            }),
        }
    }
    Ok(items)
}

async fn insert_items(
    transaction: &mut Transaction,
    replay: &str,
    items: &[Judged],
    first: u64,
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let mut query = Statement::new(
        "INSERT INTO replay_items (replay_id, position, dead_letter_id, state, detail, generation, previous) SELECT ",
    );
    // Rows of the table count from 1.
    query.push_bind(replay).push(", item.position - 1 + ").push_bind(integer(first));
    query.push(", item.dead_letter_id, 'pending', '', item.generation, item.previous FROM ");
    query.push_table(
        Table::new("item")
            .texts("dead_letter_id", items.iter().map(|item| Some(&*item.id)))
            .integers("generation", items.iter().map(|item| Some(item.generation)))
            .texts("previous", items.iter().map(|item| Some(item.previous))),
    );
    query.push(" WHERE TRUE ON CONFLICT (replay_id, dead_letter_id) DO NOTHING");
    query.execute(transaction).await?;
    Ok(())
}

/// Each item's dead letter is replaying from now on, and its newest life is the one that the item gives.
async fn start_lives(
    transaction: &mut Transaction,
    replay: &NewReplay,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    Statement::new(
        "UPDATE dead_letters SET state = 'replaying', life = life + 1, replays = replays + 1 \
         WHERE id IN (SELECT dead_letter_id FROM replay_items WHERE replay_id = $1)",
    )
    .bind(&replay.id)
    .execute(transaction)
    .await?;
    Statement::new(
        "INSERT INTO dead_letter_changes (dead_letter_id, time, state, changed_by, detail) \
         SELECT dead_letter_id, $1, 'replaying', $2, $3 FROM replay_items WHERE replay_id = $3",
    )
    .bind(micros(now))
    .bind(&replay.by)
    .bind(&replay.id)
    .execute(transaction)
    .await?;
    Ok(())
}
