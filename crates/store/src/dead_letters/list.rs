//! Lists, counts and groups of dead letters.

use super::read::{SUMMARY, summary};
use super::{DeadLetterFilter, DeadLetterGroup, DeadLetterPage, push_filter};
use crate::dialect::{Row, Statement};
use crate::error::StoreError;
use crate::page::Page;
use crate::row;
use crate::store::Store;

impl Store {
    /// A page of the dead letters that `filter` means, newest first.
    ///
    /// # Errors
    /// [`StoreError::Cursor`] for a cursor of another list.
    pub async fn list_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        page: &Page,
    ) -> Result<DeadLetterPage, StoreError> {
        let mut query = Statement::new(SUMMARY);
        push_filter(&mut query, filter);
        if let Some((time, id)) = page.start()? {
            query.push(" AND (time, id) < (").push_bind(time).push(", ").push_bind(id).push(")");
        }
        query.push(" ORDER BY time DESC, id DESC LIMIT ").push_bind(page.fetch());
        let rows = query.all(&self.connections).await?;
        let mut items = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
        let next = page.cut(&mut items, |item| (row::micros(item.time), item.id.clone()));
        Ok(DeadLetterPage { items, next })
    }

    /// How many dead letters `filter` means.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn count_dead_letters(&self, filter: &DeadLetterFilter) -> Result<u64, StoreError> {
        let mut query = Statement::new("SELECT COUNT(*) AS count FROM dead_letters");
        push_filter(&mut query, filter);
        row::unsigned(&query.one(&self.connections).await?, "count")
    }

    /// Where the dead letters that `filter` means died, by name, at most `limit` of them: destinations, `router`,
    /// `gateway`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn origins_of_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let mut query = Statement::new("SELECT DISTINCT channel FROM dead_letters");
        push_filter(&mut query, filter);
        query.push(" ORDER BY channel LIMIT ").push_bind(i64::from(limit));
        query.all(&self.connections).await?.iter().map(|row| row.get("channel")).collect()
    }

    /// The dead letters that `filter` means by cause, the largest groups first, at most `limit` of them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn group_dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetterGroup>, StoreError> {
        let mut query = Statement::new(
            "SELECT channel, subscription, reason, class, status, cause, COUNT(*) AS count, \
             MIN(time) AS first, MAX(time) AS last, MIN(id) AS sample FROM dead_letters",
        );
        push_filter(&mut query, filter);
        query.push(" GROUP BY channel, subscription, reason, class, status, cause");
        query.push(" ORDER BY count DESC, last DESC, sample LIMIT ").push_bind(i64::from(limit));
        let rows = query.all(&self.connections).await?;
        rows.iter().map(group).collect()
    }
}

fn group(row: &Row) -> Result<DeadLetterGroup, StoreError> {
    Ok(DeadLetterGroup {
        channel: row.get("channel")?,
        subscription: row.get("subscription")?,
        reason: row::word(row, "reason")?,
        class: row::optional_word(row, "class")?,
        status: row::optional_unsigned(row, "status")?,
        cause: row.get("cause")?,
        count: row::unsigned(row, "count")?,
        first: row::time(row, "first")?,
        last: row::time(row, "last")?,
        sample: row.get("sample")?,
    })
}
