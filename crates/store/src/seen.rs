//! The window of event ids that gateways have seen: what makes a platform's re-send a duplicate.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::dialect::{Statement, Table};
use crate::error::StoreError;
use crate::row::{self, micros};
use crate::store::Store;

/// What identifies an event for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
}

impl Store {
    /// Which of `ids` were marked at `since` or later, by index. Of PostgreSQL no answer is waited for longer than seconds,
    /// and none while it is known to be away.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: accept undeduplicated.
    pub async fn seen(&self, ids: &[EventId], since: DateTime<Utc>) -> Result<Vec<bool>, StoreError> {
        let mut seen = vec![false; ids.len()];
        if ids.is_empty() {
            return Ok(seen);
        }
        let mut query = Statement::new("SELECT wanted.position AS position FROM ");
        query.push_table(table(ids.iter()));
        // Asked in this way each is looked up by the primary key; joined, PostgreSQL may read the whole window for one.
        query.push(" WHERE (SELECT seen.time FROM seen WHERE seen.source = wanted.source AND seen.id = wanted.id) >= ");
        query.push_bind(micros(since));
        for row in query.hurried().all(&self.connections).await? {
            let position: usize = row::unsigned(&row, "position")?;
            if let Some(seen) = seen.get_mut(position.wrapping_sub(1)) {
                *seen = true;
            }
        }
        Ok(seen)
    }

    /// Marks ids as seen at `now`; to be called after the broker confirmed their events. One marked before is marked
    /// anew. A power failure (of the database's machine) may take back the last moments, a crash of a process nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: none of them is marked.
    pub async fn mark_seen(&self, ids: &[EventId], now: DateTime<Utc>) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        // One statement must not touch a row twice, and gateways at the same rows take them in the same order.
        let mut distinct: Vec<&EventId> = ids.iter().collect();
        distinct.sort_unstable();
        distinct.dedup();
        let mut query =
            Statement::new("INSERT INTO seen (source, id, time) SELECT marked.source, marked.id, ");
        query.push_bind(micros(now)).push(" FROM ").push_table(table(distinct).named("marked"));
        query.push(" WHERE TRUE ON CONFLICT (source, id) DO UPDATE SET time = excluded.time");
        self.connections.write_relaxed(query.hurried()).await.map(drop)
    }

    /// Forgets at most `limit` ids marked before `before`; returns how many. To be called again while it returns `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn prune_seen(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let mut query = Statement::new("WITH old AS MATERIALIZED (SELECT source, id FROM seen WHERE time < ");
        query.push_bind(micros(before)).push(" LIMIT ").push_bind(i64::from(limit)).push_skip_locked();
        query.push(") DELETE FROM seen WHERE (source, id) IN (SELECT source, id FROM old)");
        self.connections.write_relaxed(query).await
    }
}

fn table<'a>(ids: impl IntoIterator<Item = &'a EventId, IntoIter: Clone>) -> Table<'a> {
    let ids = ids.into_iter();
    let sources = ids.clone().map(|event| Some(short(&event.source)));
    Table::new("wanted").texts("source", sources).texts("id", ids.map(|event| Some(short(&event.id))))
}

/// What stands for a part of an id: itself, or its hash when it is longer than the database can have in an index. No event
/// has a control character in its id.
fn short(part: &str) -> Cow<'_, str> {
    const LONGEST: usize = 1000;
    match part.len() {
        ..=LONGEST => part.into(),
        _ => format!("\u{1}sha256:{}", hex::encode(Sha256::digest(part))).into(),
    }
}
