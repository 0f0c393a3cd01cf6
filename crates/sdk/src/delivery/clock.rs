//! What time it is, for records; and how long ago something was, safe from jumps of the wall clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// The wall clock, beside a monotonic one that tells its jumps from time passing.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    anchor: (Instant, DateTime<Utc>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::new(Utc::now)
    }

    /// A wall clock of one's own, for tests.
    pub fn new(wall: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        let anchor = (Instant::now(), wall());
        Self { wall: Arc::new(wall), anchor }
    }

    /// The wall clock's time.
    pub fn now(&self) -> DateTime<Utc> {
        (self.wall)()
    }

    /// How long ago `time` was: by the wall clock, or by this process's monotonic clock where that says less. So a wall
    /// clock that jumps ahead makes nothing old, and one that jumps back gives zero at worst.
    pub fn since(&self, time: DateTime<Utc>) -> Duration {
        let (began, wall) = self.anchor;
        let steady = wall + began.elapsed();
        let elapsed = (self.now() - time).min(steady - time);
        elapsed.to_std().unwrap_or_default()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn jumps_of_the_wall_clock_age_nothing() {
        let jump = Arc::new(AtomicI64::new(0));
        let start = (Instant::now(), Utc::now());
        let jumped = jump.clone();
        let clock = Clock::new(move || {
            start.1 + start.0.elapsed() + chrono::Duration::seconds(jumped.load(Ordering::Relaxed))
        });
        let first = clock.now();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(clock.since(first), Duration::from_secs(5));
        jump.store(3600, Ordering::Relaxed);
        assert_eq!(clock.since(first), Duration::from_secs(5));
        jump.store(-3600, Ordering::Relaxed);
        assert_eq!(clock.since(first), Duration::ZERO);
    }
}
