//! Waiting for something to become true, without guessing how long it takes.

use std::time::{Duration, Instant};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(25);

/// Asks again and again until there is an answer, and gives it.
///
/// # Panics
/// When there is none `within` the time, naming `what` was waited for.
#[track_caller]
pub fn eventually<T>(
    what: impl Into<String>,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> impl Future<Output = T> {
    let (what, caller) = (what.into(), std::panic::Location::caller());
    async move {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(began.elapsed() < within, "{caller}: waited {within:?} for {what}");
            tokio::time::sleep(EVERY).await;
        }
    }
}
