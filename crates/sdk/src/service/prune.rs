//! Forgetting what the store need not keep any longer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use trunkline_store::StoreError;

/// How often there is a look at what may be forgotten.
const EVERY: Duration = Duration::from_secs(60);
/// How much is forgotten in one statement, so that the store is never busy for long.
const AT_ONCE: u32 = 10_000;

/// Forgets what is older than `keep`, every minute, until `shutdown`. `forget` is given a time and a number: it forgets at
/// most as many that are older and says how many it did. `what` names them in the log.
pub async fn keep_pruned<F>(
    what: &'static str,
    keep: Duration,
    shutdown: CancellationToken,
    mut forget: impl FnMut(DateTime<Utc>, u32) -> F,
) where
    F: Future<Output = Result<u64, StoreError>>,
{
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let keep = chrono::Duration::from_std(keep).ok();
        // What is kept for longer than there are times is kept for ever.
        let Some(before) = keep.and_then(|keep| Utc::now().checked_sub_signed(keep)) else { continue };
        loop {
            match forget(before, AT_ONCE).await {
                Ok(forgotten) if forgotten >= u64::from(AT_ONCE) => {}
                Ok(_) => break,
                Err(error) => {
                    warn!(%error, "old {what} were not forgotten; tried again in a minute");
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_that_is_old_is_forgotten_and_an_error_ends_nothing() {
        let answers = [Ok(10_000), Ok(10_000), Ok(3), Err(StoreError::Cursor("x".to_owned())), Ok(0)];
        let answers = Mutex::new(answers.into_iter());
        let shutdown = CancellationToken::new();
        let began = tokio::time::Instant::now();
        let asked = Mutex::new(Vec::new());
        let keep = Duration::from_secs(3600);
        keep_pruned("things", keep, shutdown.clone(), |before, at_once| {
            let age = Utc::now() - before;
            assert!(at_once == AT_ONCE && age >= chrono::Duration::hours(1), "{age}");
            asked.lock().unwrap().push(began.elapsed().as_secs() / 60);
            let answer = answers.lock().unwrap().next().unwrap();
            if matches!(answer, Ok(0)) {
                shutdown.cancel();
            }
            std::future::ready(answer)
        })
        .await;
        assert_eq!(*asked.lock().unwrap(), [1, 1, 1, 2, 3]);
    }
}
