//! What to do after a failed attempt: a pure judgement, with time and jitter as arguments.

use std::time::Duration;

/// What the failure of one attempt means for what must be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureClass {
    /// It may succeed later: time-outs, refused connections, 5xx, 408, 425.
    Transient,
    /// The platform asks for patience: 429, or 503 with `Retry-After`.
    Throttled {
        /// At least this long, as the platform said.
        retry_after: Duration,
    },
    /// It will never succeed as it is: other 4xx, a template without its value.
    Rejected,
    /// The destination as a whole cannot take anything now: 401, 403, 410, circuit open. Nothing is dropped.
    Halted,
}

/// What happens to a delivery next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Attempt again after this time.
    RetryIn(Duration),
    /// No more attempts.
    DeadLetter(GiveUp),
    /// Wait on the broker until the destination takes deliveries again.
    Hold,
}

/// Why no more attempts are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// The failure was [`FailureClass::Rejected`].
    Rejected,
    /// `max_attempts` attempts were made.
    AttemptsExhausted,
    /// `max_age` has passed since the first attempt.
    TooOld,
}

/// When and how often a delivery is attempted again.
///
/// The delay before retry *n* (1, 2, ..) is drawn evenly from zero to `first * factor^(n-1)`, capped at `max`
/// (full jitter), so that many deliveries that failed together do not come back together.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included; at least 1.
    pub max_attempts: u32,
    /// No retry begins later than this after the first attempt.
    pub max_age: Duration,
    /// Upper bound of the delay before the first retry.
    pub first: Duration,
    /// Upper bound of every delay.
    pub max: Duration,
    /// Growth of the bound from one retry to the next; at least 1.
    pub factor: f64,
    /// The longest `Retry-After` that is obeyed; a longer one is cut to this.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 10,
            max_age: Duration::from_secs(24 * 3600),
            first: Duration::from_secs(1),
            max: Duration::from_secs(3600),
            factor: 2.0,
            max_retry_after: Duration::from_secs(3600),
        }
    }
}

impl RetryPolicy {
    /// Judges the failure of attempt number `attempt` (1 for the first), `elapsed` after the first attempt began.
    /// `jitter` is a random number in `0.0..=1.0`; values outside are brought inside, NaN counts as 1.
    ///
    /// A [`Verdict::RetryIn`] for a throttled failure is never shorter than the obeyed `retry_after`, and longer by a
    /// sixteenth or half a second at most, whichever is more. A `retry_after` of zero asks for nothing.
    pub fn judge(&self, attempt: u32, elapsed: Duration, class: &FailureClass, jitter: f64) -> Verdict {
        let floor = match class {
            FailureClass::Rejected => return Verdict::DeadLetter(GiveUp::Rejected),
            FailureClass::Halted => return Verdict::Hold,
            FailureClass::Transient => Duration::ZERO,
            FailureClass::Throttled { retry_after } => (*retry_after).min(self.max_retry_after),
        };
        if attempt >= self.max_attempts {
            return Verdict::DeadLetter(GiveUp::AttemptsExhausted);
        }
        let jitter = if jitter.is_nan() { 1.0 } else { jitter.clamp(0.0, 1.0) };
        let mut bound = self.bound(attempt);
        if !floor.is_zero() {
            // Enough to come back apart, and little enough that a time the platform named is still kept.
            bound = bound.min((floor / 16).max(Duration::from_millis(500)));
        }
        let delay = floor.saturating_add(bound.mul_f64(jitter));
        if elapsed.saturating_add(delay) > self.max_age {
            return Verdict::DeadLetter(GiveUp::TooOld);
        }
        Verdict::RetryIn(delay)
    }

    /// The upper bound of the delay after attempt number `attempt`.
    pub fn bound(&self, attempt: u32) -> Duration {
        let exponent = f64::from(attempt.saturating_sub(1));
        let seconds = self.first.as_secs_f64() * self.factor.max(1.0).powf(exponent);
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(attempt: u32, elapsed: u64, class: FailureClass, jitter: f64, expected: Verdict) {
        let policy = RetryPolicy {
            max_attempts: 4,
            max_age: Duration::from_secs(100),
            first: Duration::from_secs(2),
            max: Duration::from_secs(6),
            factor: 2.0,
            max_retry_after: Duration::from_secs(30),
        };
        assert_eq!(policy.judge(attempt, Duration::from_secs(elapsed), &class, jitter), expected);
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn full_jitter_grows_to_the_cap() {
        check(1, 0, FailureClass::Transient, 1.0, Verdict::RetryIn(secs(2)));
        check(1, 0, FailureClass::Transient, 0.0, Verdict::RetryIn(secs(0)));
        check(2, 0, FailureClass::Transient, 0.5, Verdict::RetryIn(secs(2)));
        check(3, 0, FailureClass::Transient, 1.0, Verdict::RetryIn(secs(6)));
        check(3, 0, FailureClass::Transient, f64::NAN, Verdict::RetryIn(secs(6)));
    }

    #[test]
    fn gives_up_after_attempts_or_age() {
        check(4, 0, FailureClass::Transient, 1.0, Verdict::DeadLetter(GiveUp::AttemptsExhausted));
        check(1, 99, FailureClass::Transient, 1.0, Verdict::DeadLetter(GiveUp::TooOld));
        check(1, 0, FailureClass::Rejected, 1.0, Verdict::DeadLetter(GiveUp::Rejected));
    }

    #[test]
    fn retry_after_is_never_undercut_and_capped() {
        let asked = |s| FailureClass::Throttled { retry_after: secs(s) };
        check(1, 0, asked(10), 0.0, Verdict::RetryIn(secs(10)));
        check(1, 0, asked(3000), 0.0, Verdict::RetryIn(secs(30)));
    }

    #[test]
    fn retry_after_is_hardly_exceeded() {
        let asked = |s| FailureClass::Throttled { retry_after: secs(s) };
        check(3, 0, asked(1), 1.0, Verdict::RetryIn(Duration::from_millis(1500)));
        check(3, 0, asked(16), 1.0, Verdict::RetryIn(secs(17)));
        check(3, 0, asked(0), 1.0, Verdict::RetryIn(secs(6)));
    }

    #[test]
    fn a_halted_destination_holds_however_old_the_delivery() {
        check(9, 1000, FailureClass::Halted, 1.0, Verdict::Hold);
    }

    #[test]
    fn extreme_attempts_do_not_overflow() {
        let policy = RetryPolicy { max_attempts: u32::MAX, max_age: Duration::MAX, ..RetryPolicy::default() };
        let verdict = policy.judge(u32::MAX - 1, Duration::ZERO, &FailureClass::Transient, 1.0);
        assert_eq!(verdict, Verdict::RetryIn(policy.max));
    }
}
