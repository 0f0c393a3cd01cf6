//! Making a replay: the selection is frozen.

use chrono::{DateTime, Utc};
use sqlx::{QueryBuilder, Row as _, Transaction};

use super::select::refusal;
use super::{NewReplay, Refusal, ReplayState};
use crate::dead_letters::DeadLetterState;
use crate::dialect::{Db, Durability, ROWS, push_any_of};
use crate::error::StoreError;
use crate::row::{self, integer, micros};
use crate::store::Store;
use crate::words::Word;

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
        insert_replay(&mut transaction, replay, now).await?;
        let mut refused = Vec::new();
        let mut position = 0;
        for chunk in ids.chunks(ROWS) {
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
    transaction: &mut Transaction<'static, Db>,
    replay: &NewReplay,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let filter = serde_json::to_string(&replay.filter).map_err(|error| StoreError::Damaged {
        what: "the filter".to_owned(),
        source: Some(Box::new(error)),
    })?;
    let done = sqlx::query(
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
    .execute(&mut **transaction)
    .await?;
    if done.rows_affected() == 0 {
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
    transaction: &mut Transaction<'static, Db>,
    replay: &NewReplay,
    ids: &[String],
    max_replays: u32,
    refused: &mut Vec<(String, Refusal)>,
) -> Result<Vec<Judged>, StoreError> {
    let mut query = QueryBuilder::<Db>::new(
        "SELECT id, channel, contents, state, replays, life FROM dead_letters WHERE ",
    );
    push_any_of(&mut query, "id", ids);
    let rows = query.build().fetch_all(&mut **transaction).await?;
    let mut rows: std::collections::HashMap<String, _> =
        rows.into_iter().map(|row| Ok((row.try_get("id")?, row))).collect::<Result<_, sqlx::Error>>()?;
    let mut items = Vec::with_capacity(rows.len());
    for id in ids {
        let Some(row) = rows.remove(id) else { continue };
        let state = row::word(&row, "state")?;
        let replays = row::unsigned(&row, "replays")?;
        let other = row.try_get::<&str, _>("channel")? != replay.destination;
        let refusal = match other {
            true => Some(Refusal::OtherDestination),
            false => refusal(row::word(&row, "contents")?, state, replays, replay.forced, max_replays),
        };
        match refusal {
            Some(refusal) => refused.push((id.clone(), refusal)),
            None => items.push(Judged {
                id: id.clone(),
                generation: row.try_get::<i64, _>("life")? + 1,
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
    transaction: &mut Transaction<'static, Db>,
    replay: &str,
    items: &[Judged],
    first: u64,
) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let mut query = QueryBuilder::<Db>::new(
        "INSERT INTO replay_items (replay_id, position, dead_letter_id, state, detail, generation, previous) ",
    );
    query.push_values(items.iter().zip(first..), |mut row, (item, position)| {
        row.push_bind(replay)
            .push_bind(integer(position))
            .push_bind(&item.id)
            .push_bind("pending")
            .push_bind("");
        row.push_bind(item.generation).push_bind(item.previous);
    });
    query.push(" ON CONFLICT (replay_id, dead_letter_id) DO NOTHING");
    query.build().execute(&mut **transaction).await?;
    Ok(())
}

/// Each item's dead letter is replaying from now on, and its newest life is the one that the item gives.
async fn start_lives(
    transaction: &mut Transaction<'static, Db>,
    replay: &NewReplay,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE dead_letters SET state = 'replaying', life = life + 1, replays = replays + 1 \
         WHERE id IN (SELECT dead_letter_id FROM replay_items WHERE replay_id = $1)",
    )
    .bind(&replay.id)
    .execute(&mut **transaction)
    .await?;
    sqlx::query(
        "INSERT INTO dead_letter_changes \
         SELECT dead_letter_id, $1, 'replaying', $2, $3 FROM replay_items WHERE replay_id = $3",
    )
    .bind(micros(now))
    .bind(&replay.by)
    .bind(&replay.id)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
