//! Working through a replay's items.

use chrono::{DateTime, Utc};

use super::{ItemOutcome, ReplayItem, ReplayState};
use crate::dead_letters::{CHANGE, decode};
use crate::dialect::{Durability, Row, Statement, Table, Transaction};
use crate::error::StoreError;
use crate::row::{self, integer, micros};
use crate::store::Store;
use crate::words::Word;

/// The pending items that a statement is about: all of a replay's, or those at some positions.
enum Which<'a> {
    All,
    At(&'a [u64]),
}

/// Why items are skipped.
struct Skipped<'a> {
    reason: &'a str,
    by: &'a str,
    now: DateTime<Utc>,
}

impl Store {
    /// The next pending items of a running replay, at most `limit`, in the order of the selection; none when it is done
    /// or cancelled. An item stays pending until it is marked. One whose dead letter can't be read back is skipped.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn next_items(
        &self,
        replay: &str,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<Vec<ReplayItem>, StoreError> {
        loop {
            let query = Statement::new(
                "SELECT position, dead_letter_id, replay_items.generation AS next_generation, record FROM replay_items \
                 JOIN dead_letters ON dead_letters.id = dead_letter_id \
                 WHERE replay_id = $1 AND replay_items.state = 'pending' ORDER BY position LIMIT $2",
            );
            let rows = query.bind(replay).bind(i64::from(limit)).all(&self.connections).await?;
            let (mut items, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in &rows {
                match item(row) {
                    Ok(item) => items.push(item),
                    Err(StoreError::Damaged { what, .. }) => {
                        let outcome = ItemOutcome::Skipped(format!("{what} in the store is damaged"));
                        damaged.push((row::unsigned(row, "position")?, outcome));
                    }
                    Err(error) => return Err(error),
                }
            }
            let none_left = damaged.is_empty();
            if !none_left {
                tracing::error!(
                    replay,
                    items = damaged.len(),
                    "dead letters that can't be read back are not replayed"
                );
                self.mark_items(replay, &damaged, now).await?;
            }
            if none_left || !items.is_empty() {
                return Ok(items);
            }
        }
    }

    /// Says what became of pending items, by position; those no longer pending are left alone. With the last of them the
    /// replay is done. A webhook that was sent (to `events`) counts as delivered.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: none is marked; mark them again.
    pub async fn mark_items(
        &self,
        replay: &str,
        outcomes: &[(u64, ItemOutcome)],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        transaction.turn_at_dead_letters().await?;
        let mut sent = Vec::new();
        for (position, outcome) in outcomes {
            match outcome {
                ItemOutcome::Sent => sent.push(*position),
                ItemOutcome::Skipped(reason) => {
                    let skipped = Skipped { reason, by: "trunkline", now };
                    skip(&mut transaction, replay, Which::At(&[*position]), &skipped).await?;
                }
            }
        }
        if !sent.is_empty() {
            mark_sent(&mut transaction, replay, &sent).await?;
        }
        let query =
            Statement::new("SELECT 1 FROM replay_items WHERE replay_id = $1 AND state = 'pending' LIMIT 1");
        if query.bind(replay).first(&mut transaction).await?.is_none() {
            end(&mut transaction, replay, ReplayState::Done, now).await?;
        }
        transaction.commit().await
    }

    /// Cancels a running replay: its pending items are skipped, and their dead letters are what they were before. Returns
    /// how many; `None` when it is not running.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn cancel_replay(
        &self,
        replay: &str,
        by: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<u64>, StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        transaction.turn_at_dead_letters().await?;
        if !end(&mut transaction, replay, ReplayState::Cancelled, now).await? {
            return Ok(None);
        }
        let skipped = Skipped { reason: "the replay was cancelled", by, now };
        let skipped = skip(&mut transaction, replay, Which::All, &skipped).await?;
        transaction.commit().await?;
        Ok(Some(skipped))
    }
}

fn item(row: &Row) -> Result<ReplayItem, StoreError> {
    let id: String = row.get("dead_letter_id")?;
    Ok(ReplayItem {
        position: row::unsigned(row, "position")?,
        generation: row::unsigned(row, "next_generation")?,
        dead_letter: decode(row, &id)?,
        id,
    })
}

/// Ends a running replay; whether it was running.
pub(super) async fn end(
    transaction: &mut Transaction,
    replay: &str,
    state: ReplayState,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let query =
        Statement::new("UPDATE replays SET state = $1, ended = $2 WHERE id = $3 AND state = 'running'");
    Ok(query.bind(state.word()).bind(micros(now)).bind(replay).execute(transaction).await? == 1)
}

async fn mark_sent(transaction: &mut Transaction, replay: &str, positions: &[u64]) -> Result<(), StoreError> {
    // A webhook's other life is an event like any other: nothing will say more about it.
    let mut query = Statement::new(
        "UPDATE dead_letters SET state = 'delivered' WHERE contents = 'webhook' AND state = 'replaying' AND id IN (",
    );
    query.push("SELECT dead_letter_id FROM replay_items");
    push_pending(&mut query, replay, &Which::At(positions));
    query.push(")");
    query.execute(transaction).await?;

    let mut query = Statement::new("UPDATE replay_items SET state = 'sent'");
    push_pending(&mut query, replay, &Which::At(positions));
    query.execute(transaction).await?;
    Ok(())
}

/// Gives the dead letters of pending items their state and life back, unless a later life was given meanwhile or the
/// outcome is known already (a crash may leave an item pending whose delivery is on its way).
async fn skip(
    transaction: &mut Transaction,
    replay: &str,
    which: Which<'_>,
    skipped: &Skipped<'_>,
) -> Result<u64, StoreError> {
    let mut query = Statement::new(
        "UPDATE dead_letters SET replays = replays - 1, \
         state = CASE WHEN state = 'replaying' AND life = item.life_given THEN item.previous ELSE state END, \
         life = CASE WHEN life = item.life_given THEN life - 1 ELSE life END \
         FROM (SELECT dead_letter_id, generation AS life_given, previous FROM replay_items",
    );
    push_pending(&mut query, replay, &which);
    query.push(") AS item WHERE id = item.dead_letter_id");
    query.execute(transaction).await?;

    let mut query = Statement::new(CHANGE);
    query.push(" SELECT id, ").push_bind(micros(skipped.now)).push(", state, ").push_bind(skipped.by);
    query.push(", ").push_bind(skipped.reason);
    query.push(" FROM dead_letters WHERE id IN (SELECT dead_letter_id FROM replay_items");
    push_pending(&mut query, replay, &which);
    query.push(")");
    query.execute(transaction).await?;

    let mut query = Statement::new("UPDATE replay_items SET state = 'skipped', detail = ");
    query.push_bind(skipped.reason);
    push_pending(&mut query, replay, &which);
    query.execute(transaction).await
}

fn push_pending<'q>(query: &mut Statement<'q>, replay: &'q str, which: &Which<'_>) {
    query.push(" WHERE replay_id = ").push_bind(replay).push(" AND state = 'pending'");
    if let Which::At(positions) = which {
        query.push(" AND position IN (SELECT wanted.item FROM ");
        let positions = positions.iter().map(|position| Some(integer(*position)));
        query.push_table(Table::new("wanted").integers("item", positions)).push(")");
    }
}
