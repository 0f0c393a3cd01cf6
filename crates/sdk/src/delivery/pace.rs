//! A destination's rate limit, as evenly spaced attempts.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::RateLimit;

/// Attempts closer together than this are let through in one go, because timers are not finer.
const GRAIN: Duration = Duration::from_millis(5);

/// Spaces attempts `per / count` apart, so that no window of `per` holds more than `count` and none are saved up for a
/// burst after a quiet time. (The generic cell rate algorithm, on tokio's clock.)
#[derive(Debug)]
pub(super) struct Pace {
    limit: Option<RateLimit>,
    due: Instant,
}

impl Pace {
    pub(super) fn new(limit: Option<RateLimit>, now: Instant) -> Self {
        Self { limit, due: now }
    }

    /// Another limit from now on.
    pub(super) fn set(&mut self, limit: Option<RateLimit>) {
        self.limit = limit;
    }

    /// When the next attempt may begin; `None` for now.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        let interval = self.interval()?;
        let ready = if interval < GRAIN { self.due.checked_sub(GRAIN)? } else { self.due };
        (ready > now).then_some(ready)
    }

    /// An attempt began.
    pub(super) fn took(&mut self, now: Instant) {
        if let Some(interval) = self.interval() {
            self.due = self.due.max(now) + interval;
        }
    }

    fn interval(&self) -> Option<Duration> {
        self.limit.map(|limit| limit.per / limit.count.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many attempts begin in `seconds` when a worker begins each as soon as it may.
    fn begun(count: u32, seconds: u64) -> u32 {
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds);
        let mut pace = Pace::new(Some(RateLimit { count, per: Duration::from_secs(1) }), start);
        let (mut now, mut begun) = (start, 0);
        while now < end {
            match pace.wait(now) {
                None => {
                    pace.took(now);
                    begun += 1;
                }
                // Timers wake at whole milliseconds.
                Some(ready) => now = (ready + Duration::from_micros(999)).max(now + Duration::from_millis(1)),
            }
        }
        begun
    }

    #[test]
    fn reaches_its_rate_and_not_more() {
        assert_eq!(begun(10, 3), 30);
        let fast = begun(5000, 2);
        assert!((9_950..=10_050).contains(&fast), "{fast}");
    }

    #[test]
    fn saves_nothing_up() {
        let start = Instant::now();
        let mut pace = Pace::new(Some(RateLimit { count: 10, per: Duration::from_secs(1) }), start);
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.wait(later), None);
        pace.took(later);
        assert_eq!(pace.wait(later), Some(later + Duration::from_millis(100)));
    }
}
