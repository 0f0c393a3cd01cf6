//! Pauses between tries that go on until they succeed.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses that never end: each twice as long as the one before, up to a longest, plus a random part of itself.
#[derive(Debug)]
pub struct Pauses {
    growing: ExponentialBackoff,
    longest: Duration,
}

impl Pauses {
    /// Pauses from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        let growing = ExponentialBuilder::default().with_min_delay(first).with_max_delay(longest);
        Self { growing: growing.with_jitter().without_max_times().build(), longest }
    }

    /// Those between two tries of something that the broker or the store will take as soon as it is back: 50 ms to 5 s.
    pub fn of_hand_over() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(5))
    }

    /// How long the next one is.
    pub fn longer(&mut self) -> Duration {
        self.growing.next().unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_never_end() {
        let mut pauses = Pauses::of_hand_over();
        let first = pauses.longer();
        assert!((50..=100).contains(&first.as_millis()), "{first:?}");
        let later: Vec<Duration> = (0..10_000).map(|_| pauses.longer()).collect();
        assert!(later[100..].iter().all(|pause| (5000..=10_000).contains(&pause.as_millis())));
    }
}
