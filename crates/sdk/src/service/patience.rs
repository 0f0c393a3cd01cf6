//! Waiting for what a process needs: the processes of a deployment start in any order.

use std::error::Error;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// How long a process waits for its broker and its store at the start, unless told otherwise.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(60);

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tries until it works, or fails in a way that does not pass by itself, or `until`; then the last error is the answer. Each
/// failure is logged with its cause and told to `tell`.
pub(super) async fn patiently<T, E: Error + 'static, Attempt: Future<Output = Result<T, E>>>(
    what: &str,
    until: Instant,
    passes: impl Fn(&E) -> bool,
    tell: impl Fn(String),
    mut attempt: impl FnMut() -> Attempt,
) -> Result<T, E> {
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .build();
    let began = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => {
                let waited = began.elapsed();
                if waited > FIRST_PAUSE {
                    info!(waited_ms = waited.as_millis() as u64, "{what} is there");
                }
                return Ok(value);
            }
            Err(error) if passes(&error) && Instant::now() < until => {
                let cause = chain(&error);
                let left = until.duration_since(Instant::now());
                warn!(cause, giving_up_in_s = left.as_secs(), "{what} can't be had yet; trying until it can");
                tell(format!("waiting for {what}"));
                sleep(pauses.next().unwrap_or(LONGEST_PAUSE).min(left)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::{Error, ErrorKind};

    use super::*;

    async fn tried(until: Duration, works_at: u32, kind: ErrorKind) -> (Result<u32, Error>, u32, Duration) {
        let (began, mut tries) = (Instant::now(), 0);
        let passes = |error: &Error| error.kind() == ErrorKind::ConnectionRefused;
        let ended = patiently("the broker", began + until, passes, drop, || {
            tries += 1;
            std::future::ready(if tries >= works_at { Ok(tries) } else { Err(Error::from(kind)) })
        });
        let ended = ended.await;
        (ended, tries, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_not_longer_than_permitted() {
        let minute = Duration::from_secs(60);
        let (ended, tries, waited) = tried(minute, 4, ErrorKind::ConnectionRefused).await;
        assert_eq!((ended.unwrap(), tries, waited), (4, 4, Duration::from_millis(250 + 500 + 1000)));

        let (ended, tries, waited) = tried(minute, 1000, ErrorKind::ConnectionRefused).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(waited == minute && tries < 25, "{tries} tries in {waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_and_no_patience_end_at_once() {
        let (ended, tries, _) = tried(Duration::from_secs(60), 9, ErrorKind::PermissionDenied).await;
        assert!(ended.is_err() && tries == 1);
        let (ended, tries, _) = tried(Duration::ZERO, 9, ErrorKind::ConnectionRefused).await;
        assert!(ended.is_err() && tries == 1);
    }
}
