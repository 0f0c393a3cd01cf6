//! Remembers that the database is away, so that not every caller waits to find out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use super::postgres::ACQUIRE;
use crate::error::StoreError;

/// How long nobody asks after the database did not answer.
const AWAY: Duration = Duration::from_secs(3);

/// What callers are told in the meantime.
#[derive(Debug, Error)]
#[error("the database did not answer a moment ago")]
struct Away;

/// Whether the database is away. While it is, one caller at a time tries, and the others are refused at once.
#[derive(Debug)]
pub(super) struct Outage {
    start: Instant,
    /// Milliseconds since `start` before which nobody tries; 0 while all is well.
    until: AtomicU64,
    /// How often the database answered.
    answers: AtomicU64,
}

impl Default for Outage {
    fn default() -> Self {
        Self { start: Instant::now(), until: AtomicU64::new(0), answers: AtomicU64::new(0) }
    }
}

impl Outage {
    /// Gets a connection by `connecting`, unless the database is away.
    pub(super) async fn watch<T>(
        &self,
        connecting: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        self.enter()?;
        let answers = self.answers.load(Ordering::Relaxed);
        match connecting.await {
            Ok(connection) => {
                self.answers.fetch_add(1, Ordering::Relaxed);
                self.until.store(0, Ordering::Relaxed);
                Ok(connection)
            }
            Err(error) => {
                // Where others were answered meanwhile there are only too few connections.
                if self.answers.load(Ordering::Relaxed) == answers {
                    self.until.store(self.now() + millis(AWAY), Ordering::Relaxed);
                }
                Err(error.into())
            }
        }
    }

    fn enter(&self) -> Result<(), StoreError> {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return Ok(());
        }
        let now = self.now();
        let mine = now >= until && {
            let next = now + millis(ACQUIRE + AWAY);
            self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        if mine { Ok(()) } else { Err(StoreError::unavailable(Away)) }
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    async fn fails(outage: &Outage) -> bool {
        let asked = std::cell::Cell::new(false);
        let connecting = async {
            asked.set(true);
            tokio::time::sleep(ACQUIRE).await;
            Err::<(), _>(sqlx::Error::PoolTimedOut)
        };
        outage.watch(connecting).await.unwrap_err();
        asked.get()
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_away_one_caller_at_a_time_asks() {
        let outage = Outage::default();
        assert!(fails(&outage).await);
        assert!(!fails(&outage).await);
        tokio::time::advance(AWAY).await;
        let (first, second) = tokio::join!(fails(&outage), fails(&outage));
        assert_eq!((first, second), (true, false));
        tokio::time::advance(AWAY).await;
        outage.watch(async { Ok(()) }).await.unwrap();
        assert!(fails(&outage).await);
    }

    #[tokio::test(start_paused = true)]
    async fn too_few_connections_are_no_outage() {
        let outage = Outage::default();
        let answered = outage.watch(async { Ok(()) });
        let (failed, answered) = tokio::join!(fails(&outage), answered);
        answered.unwrap();
        assert!(failed && fails(&outage).await);
    }
}
