//! Whether there is room for new records.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::core::Core;
use crate::error::EngineError;

/// How long an answer holds. A full engine accepts again this soon after there is room.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// The last look at database and disk.
#[derive(Debug, Default)]
pub(super) struct Room {
    looked: Option<Instant>,
    /// Bytes that may be stored before the next look.
    credit: usize,
    short: Option<EngineError>,
}

impl Room {
    /// Why `bytes` more can't be stored now.
    pub(super) fn short_of(
        &mut self,
        connection: &Connection,
        core: &Core,
        bytes: usize,
    ) -> Option<EngineError> {
        let fresh = self.looked.is_some_and(|looked| looked.elapsed() < CHECK_EVERY);
        if !fresh || bytes > self.credit {
            match look(connection, core, bytes) {
                Ok(credit) => {
                    if self.short.take().is_some() {
                        tracing::info!("there is room again, new records are accepted");
                    }
                    self.credit = credit;
                }
                Err(error) => self.is_full(&error),
            }
            self.looked = Some(Instant::now());
        }
        self.credit = self.credit.saturating_sub(bytes);
        self.short.clone()
    }

    /// Something was tried and found no room.
    pub(super) fn is_full(&mut self, error: &EngineError) {
        if self.short.is_none() {
            tracing::error!(%error, "new records are refused until there is room");
        }
        self.credit = 0;
        self.looked = Some(Instant::now());
        self.short = Some(error.clone());
    }
}

/// Bytes that may be stored before the next look.
fn look(connection: &Connection, core: &Core, bytes: usize) -> Result<usize, EngineError> {
    let wanted = bytes as u64;
    let mut credit = u64::MAX;
    if let Some(limit) = core.options.max_bytes {
        let pragma =
            |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
        let used = (pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?;
        let used = used.unsigned_abs();
        credit = limit.saturating_sub(used);
        if credit < wanted {
            return Err(EngineError::Limit { used, limit });
        }
    }
    // A disk that can't be asked is no reason to refuse; writing will tell.
    if let Ok(free) = core.options.disk.free_bytes(&core.directory) {
        let reserve = core.options.reserve_bytes;
        credit = credit.min(free.saturating_sub(reserve));
        if credit < wanted {
            return Err(EngineError::Reserve { free, reserve });
        }
    }
    // A part of it, because pages and log take more than the records do.
    Ok(usize::try_from(credit / 8).unwrap_or(usize::MAX).max(bytes))
}
