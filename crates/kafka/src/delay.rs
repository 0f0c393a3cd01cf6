//! How a delayed record waits: it passes through steps of time, each a power of two, longest first.
//!
//! A channel's delay topic has a partition for each step, in which every record stays equally long; so the first record
//! of a partition is the first that is due, and a mover needs to look at nothing else. A delay is rounded up to a sum of
//! few steps. A record carries when it is due at last and how much of its way comes after the step it is in; what one
//! step was late is not added to the next.

use std::time::Duration;

/// Milliseconds of the shortest step.
const UNIT: u64 = 250;

/// Steps, and partitions of a delay topic. The longest is 250 ms times 2^13, 34 minutes; longer delays pass through it
/// several times.
pub(crate) const STEPS: u8 = 14;

/// Milliseconds since 1970 when the record is due, in decimal digits.
pub(crate) const DUE_HEADER: &str = "trunkline-due";
/// Units of its way that come after the step it is in, in decimal digits.
pub(crate) const REST_HEADER: &str = "trunkline-rest";

/// A record's way through the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    due: u64,
    rest: u64,
}

impl Wait {
    /// Begins to wait at `now` (milliseconds since 1970). Returns the first step.
    pub(crate) fn begin(delay: Duration, now: u64) -> (u8, Self) {
        let millis = u64::try_from(delay.as_micros().div_ceil(1000)).unwrap_or(u64::MAX / 4);
        let units = rounded(millis.min(u64::MAX / 4).div_ceil(UNIT).max(1));
        let (step, rest) = first_step(units);
        (step, Self { due: now.saturating_add(units.saturating_mul(UNIT)), rest })
    }

    /// What a record's headers say.
    pub(crate) fn read(due: &[u8], rest: &[u8]) -> Option<Self> {
        let number = |text| std::str::from_utf8(text).ok()?.parse().ok();
        Some(Self { due: number(due)?, rest: number(rest)? })
    }

    /// The headers' values.
    pub(crate) fn write(&self) -> (String, String) {
        (self.due.to_string(), self.rest.to_string())
    }

    /// When it is to leave the step it is in, in milliseconds since 1970.
    pub(crate) fn leaves(&self) -> u64 {
        self.due.saturating_sub(self.rest.saturating_mul(UNIT))
    }

    /// The step after this one; `None`: it has arrived.
    pub(crate) fn next(&self) -> Option<(u8, Self)> {
        (self.rest > 0).then(|| {
            let (step, rest) = first_step(self.rest);
            (step, Self { rest, ..*self })
        })
    }
}

/// The longest step not longer than this, and what remains.
fn first_step(units: u64) -> (u8, u64) {
    let step = u8::try_from(units.ilog2()).unwrap_or(u8::MAX).min(STEPS - 1);
    (step, units - (1 << step))
}

/// Rounded up to as few binary digits as a lateness of a twelfth, or of half a second, allows.
fn rounded(units: u64) -> u64 {
    let tolerance = (units / 12).max(2);
    let ceil = |shift: u32| units.div_ceil(1 << shift) << shift;
    (0..units.ilog2() + 1).rev().map(ceil).find(|rounded| rounded - units <= tolerance).unwrap_or(units)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The steps a delay passes through, and when it arrives.
    fn way(delay: Duration) -> (Vec<u8>, u64) {
        let (step, mut wait) = Wait::begin(delay, 0);
        let mut steps = vec![step];
        let mut left = vec![wait.leaves()];
        while let Some((step, next)) = wait.next() {
            steps.push(step);
            left.push(next.leaves());
            wait = next;
        }
        let mut at = 0;
        for (step, left) in steps.iter().zip(&left) {
            at += UNIT << step;
            assert_eq!(at, *left, "a record stays in step {step} as long as every other");
        }
        (steps, at)
    }

    #[track_caller]
    fn check(delay: Duration, steps: &[u8], arrives: u64) {
        assert_eq!(way(delay), (steps.to_vec(), arrives));
    }

    #[test]
    fn delays_become_few_steps() {
        check(Duration::from_nanos(1), &[0], 250);
        check(Duration::from_millis(200), &[0], 250);
        check(Duration::from_secs(1), &[2], 1000);
        check(Duration::from_secs(30), &[7], 32_000);
        check(Duration::from_secs(60), &[8], 64_000);
        check(Duration::from_secs(300), &[10, 8], 320_000);
        check(Duration::from_secs(2048 * 2), &[13, 13], 2048 * 2 * 1000);
    }

    #[test]
    fn headers_say_the_way() {
        let (_, wait) = Wait::begin(Duration::from_secs(5), 1_000_000);
        let (due, rest) = wait.write();
        assert_eq!(Wait::read(due.as_bytes(), rest.as_bytes()), Some(wait));
        assert_eq!(Wait::read(b"soon", b"0"), None);
        assert_eq!(Wait::read(b"\xff", b"0"), None);
    }

    proptest! {
        #[test]
        fn never_early_and_hardly_late(millis in 1u64..10 * 24 * 3600 * 1000) {
            let (steps, arrives) = way(Duration::from_millis(millis));
            prop_assert!(arrives >= millis);
            prop_assert!(arrives - millis <= (millis / 11).max(750), "{arrives} for {millis}");
            prop_assert!(steps.is_sorted_by(|a, b| a >= b));
            prop_assert!(steps.len() <= 5 + usize::try_from(arrives / 2_048_000).unwrap());
        }

        #[test]
        fn any_delay_can_be_waited_for(delay: Duration, now: u64) {
            let (step, wait) = Wait::begin(delay, now);
            prop_assert!(step < STEPS && wait.leaves() <= wait.due);
        }
    }
}
