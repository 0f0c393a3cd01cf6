//! Pages of a list, newest first.

use crate::error::StoreError;

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// How many items at most; at least 1.
    pub limit: u32,
    /// The `next` of the page before; `None` for the first page.
    pub after: Option<String>,
}

impl Page {
    /// The first page.
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None }
    }

    /// One row more than wanted, to see whether there is a next page.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit.max(1)) + 1
    }

    /// The place after which this page begins.
    pub(crate) fn start(&self) -> Result<Option<(i64, &str)>, StoreError> {
        let Some(after) = &self.after else { return Ok(None) };
        let (time, id) = after.split_once('.').ok_or_else(|| StoreError::Cursor(after.clone()))?;
        let time = time.parse().map_err(|_| StoreError::Cursor(after.clone()))?;
        Ok(Some((time, id)))
    }

    /// Cuts what was fetched to the page and says where the next begins.
    pub(crate) fn cut<T>(&self, items: &mut Vec<T>, place: impl Fn(&T) -> (i64, String)) -> Option<String> {
        let limit = self.limit.max(1) as usize;
        if items.len() <= limit {
            return None;
        }
        items.truncate(limit);
        items.last().map(place).map(|(time, id)| format!("{time}.{id}"))
    }
}
