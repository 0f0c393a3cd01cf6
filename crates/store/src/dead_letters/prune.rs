//! Forgetting what is settled.

use chrono::{DateTime, Utc};

use super::Contained;
use crate::dialect::{Durability, Statement, Transaction};
use crate::error::StoreError;
use crate::row::{integer, micros};
use crate::store::Store;
use crate::words::Word;

impl Store {
    /// Forgets dead letters that were settled before `before` (delivered, discarded or dead again, with nothing happening to
    /// them since), and before them the replays that ended before `before`; a dead letter stays as long as a replay that
    /// names it. Their numbers stay in the account. Returns how many rows were forgotten, at most `limit` dead letters and
    /// `limit` items of replays among them. To be called again while it returns `limit` or more; several processes may.
    ///
    /// A record that the broker hands out again after its dead letter was forgotten is taken for a new one: keep dead letters
    /// longer than a console may be away.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing is forgotten.
    pub async fn prune_settled(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        transaction.turn_at_dead_letters().await?;
        let (before, limit) = (micros(before), i64::from(limit));
        let replays = prune_replays(&mut transaction, before, limit).await?;
        let letters = prune_letters(&mut transaction, before, limit).await?;
        transaction.commit().await?;
        Ok(replays + letters)
    }
}

async fn prune_replays(transaction: &mut Transaction, before: i64, limit: i64) -> Result<u64, StoreError> {
    let items = Statement::new(
        "DELETE FROM replay_items WHERE (replay_id, position) IN (SELECT replay_id, position FROM replay_items \
         JOIN replays ON replays.id = replay_id WHERE replays.state <> 'running' AND ended < $1 LIMIT $2)",
    );
    let items = items.bind(before).bind(limit).execute(transaction).await?;
    let replays = Statement::new(
        "DELETE FROM replays WHERE state <> 'running' AND ended < $1 \
         AND NOT EXISTS (SELECT 1 FROM replay_items WHERE replay_id = replays.id)",
    );
    Ok(items + replays.bind(before).execute(transaction).await?)
}

async fn prune_letters(transaction: &mut Transaction, before: i64, limit: i64) -> Result<u64, StoreError> {
    let letters = Statement::new(
        "DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters \
         WHERE state IN ('delivered', 'discarded', 'dead_again') AND time < $1 \
         AND NOT EXISTS (SELECT 1 FROM dead_letter_changes WHERE dead_letter_id = dead_letters.id \
           AND dead_letter_changes.time >= $1) \
         AND NOT EXISTS (SELECT 1 FROM replay_items WHERE dead_letter_id = dead_letters.id) \
         ORDER BY time LIMIT $2) RETURNING id, contents, state",
    );
    let rows = letters.bind(before).bind(limit).all(&mut *transaction).await?;
    let mut ids: Vec<String> = Vec::with_capacity(rows.len());
    let (mut delivered, mut discarded) = (0, 0);
    for row in &rows {
        ids.push(row.get("id")?);
        if row.get::<&str>("contents")? == Contained::Delivery.word() {
            match row.get("state")? {
                "delivered" => delivered += 1,
                "discarded" => discarded += 1,
                _ => {}
            }
        }
    }
    let mut changes = Statement::new("DELETE FROM dead_letter_changes WHERE ");
    changes.push_any_of("dead_letter_id", &ids);
    changes.execute(transaction).await?;
    for (state, number) in [("delivered", delivered), ("discarded", discarded)] {
        Statement::new(
            "INSERT INTO pruned_letters (state, number) VALUES ($1, $2) \
             ON CONFLICT (state) DO UPDATE SET number = pruned_letters.number + excluded.number",
        )
        .bind(state)
        .bind(integer(number))
        .execute(transaction)
        .await?;
    }
    Ok(ids.len() as u64)
}
