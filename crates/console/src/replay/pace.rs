//! A replay's rate.

use std::time::Duration;

use tokio::time::Instant;

/// Keeps a replay within its rate: batches of at most a tenth of a second's worth, each at its time.
pub(super) struct Pace {
    rate: Option<f64>,
    next: Instant,
}

impl Pace {
    /// `rate` is deliveries a second; `None` for no limit.
    pub(super) fn new(rate: Option<f64>) -> Self {
        Self { rate: rate.filter(|rate| rate.is_finite() && *rate > 0.0), next: Instant::now() }
    }

    /// How many may go at once, of `most`.
    pub(super) fn batch(&self, most: u32) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive float beyond the range becomes the end of it"
        )]
        self.rate.map_or(most, |rate| ((rate / 10.0) as u32).clamp(1, most))
    }

    /// Waits until the next batch may go.
    pub(super) async fn ready(&self) {
        tokio::time::sleep_until(self.next).await;
    }

    /// Notes that some went.
    pub(super) fn went(&mut self, items: usize) {
        let Some(rate) = self.rate else { return };
        let took = Duration::try_from_secs_f64(items as f64 / rate).unwrap_or(Duration::MAX);
        // What was late is not made up for by going faster.
        let began = self.next.max(Instant::now());
        self.next = began.checked_add(took).unwrap_or_else(|| began + Duration::from_secs(365 * 24 * 3600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept() {
        let mut pace = Pace::new(Some(50.0));
        assert_eq!(pace.batch(200), 5);
        let started = Instant::now();
        for _ in 0..20 {
            pace.ready().await;
            pace.went(5);
        }
        let took = started.elapsed().as_secs_f64();
        assert!((1.85..=1.95).contains(&took), "100 at 50 a second, the last batch at 1.9 s: {took}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_waits_between_items() {
        let mut pace = Pace::new(Some(0.5));
        assert_eq!(pace.batch(200), 1);
        let started = Instant::now();
        for _ in 0..3 {
            pace.ready().await;
            pace.went(1);
        }
        assert_eq!(started.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nothing_waits() {
        let started = Instant::now();
        for rate in [None, Some(f64::NAN), Some(0.0), Some(-1.0), Some(f64::INFINITY)] {
            let mut pace = Pace::new(rate);
            pace.went(10_000);
            pace.ready().await;
            assert_eq!(pace.batch(200), 200);
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        Pace::new(Some(f64::MIN_POSITIVE)).went(1);
    }
}
