//! Looking at replays, and who works on them.

use chrono::{DateTime, Utc};

use super::{NewReplay, Replay, ReplayProgress, ReplayState};
use crate::dialect::{Durability, Row, Statement};
use crate::error::StoreError;
use crate::page::Page;
use crate::row::{self, micros};
use crate::store::Store;

const REPLAYS: &str = "SELECT id, destination, filter, created_by, created, forced, as_it_was, rate, state, ended, \
    owner, lease_until FROM replays";

impl Store {
    /// One replay.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn replay(&self, id: &str) -> Result<Option<Replay>, StoreError> {
        let mut query = Statement::new(REPLAYS);
        query.push(" WHERE id = ").push_bind(id);
        query.first(&self.connections).await?.as_ref().map(replay).transpose()
    }

    /// How far a replay is; all zero for one that does not exist.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn replay_progress(&self, id: &str) -> Result<ReplayProgress, StoreError> {
        let query = Statement::new(
            "SELECT replay_items.state AS item, dead_letters.state AS letter, COUNT(*) AS count FROM replay_items \
             JOIN dead_letters ON dead_letters.id = dead_letter_id WHERE replay_id = $1 \
             GROUP BY replay_items.state, dead_letters.state",
        );
        let mut progress = ReplayProgress::default();
        for row in query.bind(id).all(&self.connections).await? {
            let count: u64 = row::unsigned(&row, "count")?;
            match row.get("item")? {
                "pending" => progress.pending += count,
                "skipped" => progress.skipped += count,
                _ => {
                    progress.sent += count;
                    match row.get("letter")? {
                        "delivered" => progress.delivered += count,
                        "dead_again" => progress.dead_again += count,
                        _ => {}
                    }
                }
            }
        }
        Ok(progress)
    }

    /// A page of the replays, newest first, with the cursor of the next page where there is one.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor of another list.
    pub async fn list_replays(&self, page: &Page) -> Result<(Vec<Replay>, Option<String>), StoreError> {
        let mut query = Statement::new(REPLAYS);
        if let Some((created, id)) = page.start()? {
            query.push(" WHERE (created, id) < (").push_bind(created).push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY created DESC, id DESC LIMIT ").push_bind(page.fetch());
        let rows = query.all(&self.connections).await?;
        let mut replays = rows.iter().map(replay).collect::<Result<Vec<_>, _>>()?;
        let next = page.cut(&mut replays, |replay| (micros(replay.created), replay.made.id.clone()));
        Ok((replays, next))
    }

    /// Every replay that is still running, oldest first: to be taken up again after a start.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn unfinished_replays(&self) -> Result<Vec<Replay>, StoreError> {
        let mut query = Statement::new(REPLAYS);
        query.push(" WHERE state = 'running' ORDER BY created, id");
        query.all(&self.connections).await?.iter().map(replay).collect()
    }

    /// Takes or prolongs the lease on a running replay until `until`; whether `owner` has it now. Only the console that
    /// has the lease works on the replay. Another process that calls itself the same is another owner.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn claim_replay(
        &self,
        id: &str,
        owner: &str,
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.connections.begin(Durability::Full).await?;
        let claimed = Statement::new(
            "UPDATE replays SET owner = $1, lease_session = $2, lease_until = $3 WHERE id = $4 AND state = 'running' \
             AND (owner IS NULL OR (owner = $1 AND lease_session = $2) OR lease_until < $5)",
        )
        .bind(owner)
        .bind(&*self.session)
        .bind(micros(until))
        .bind(id)
        .bind(micros(now))
        .execute(&mut transaction)
        .await?;
        transaction.commit().await?;
        Ok(claimed == 1)
    }
}

fn replay(row: &Row) -> Result<Replay, StoreError> {
    let filter = serde_json::from_str(row.get("filter")?).map_err(|error| StoreError::Damaged {
        what: "column filter".to_owned(),
        source: Some(Box::new(error)),
    })?;
    let lease = match (row.get("owner")?, row::optional_time(row, "lease_until")?) {
        (Some(owner), Some(until)) => Some((owner, until)),
        _ => None,
    };
    Ok(Replay {
        made: NewReplay {
            id: row.get("id")?,
            destination: row.get("destination")?,
            filter,
            by: row.get("created_by")?,
            forced: row.get("forced")?,
            as_it_was: row.get("as_it_was")?,
            rate: row.get("rate")?,
        },
        created: row::time(row, "created")?,
        state: row::word::<ReplayState>(row, "state")?,
        ended: row::optional_time(row, "ended")?,
        lease,
    })
}
