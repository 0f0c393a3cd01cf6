//! What an attempt's outcome leads to: one pure function.

use std::time::Duration;

use chrono::{DateTime, Utc};
use trunkline_core::dead_letter::Contents;
use trunkline_core::journey::{JourneyStep, Step};
use trunkline_core::retry::GiveUp;
use trunkline_core::{Attempt, DeadLetter, DeadLetterReason, Delivery, FailureClass, RetryPolicy, Verdict};

/// What happens to a delivery after an attempt.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// It was delivered: settle it.
    Settle,
    /// Hand it over to its own channel, to be received again after `delay`.
    Retry { delivery: Box<Delivery>, delay: Duration },
    /// Hand it over to the dead letters.
    Dead(Box<DeadLetter>),
    /// It waits as it was, because the destination takes nothing now, which is no fault of the delivery.
    Wait(Box<Delivery>),
}

/// An attempt that was made.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) attempt: Attempt,
    /// The platform says that it is gone for good.
    pub(super) gone: bool,
    /// Whether it was made to see if a tripped or held destination works again.
    pub(super) trial: bool,
}

/// The circumstances that decide beside the attempt itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) policy: &'a RetryPolicy,
    /// When the attempt ended.
    pub(super) now: DateTime<Utc>,
    /// How long ago the first attempt of this generation began.
    pub(super) elapsed: Duration,
    /// A random number in `0.0..=1.0`.
    pub(super) jitter: f64,
}

/// Decides what happens to `delivery` after `tried`, and what its journey says of it.
///
/// A failed trial never ends a delivery and counts for none of its attempts: otherwise an outage would turn the
/// backlog into dead letters, one trial after the other. It is handed over with a delay all the same, so that the
/// next trial is another delivery's and one bad delivery can't keep a destination shut.
pub(super) fn decide(delivery: Delivery, tried: Tried, around: &Circumstances<'_>) -> (Next, JourneyStep) {
    let Tried { attempt, gone, trial } = tried;
    let Some(class) = attempt.class.clone() else {
        return (Next::Settle, step(Step::Delivered, &delivery, &attempt, around.now));
    };
    let verdict = if gone { Verdict::Hold } else { judge(&class, attempt.number, trial, around) };
    match verdict {
        Verdict::Hold => {
            let step = step(Step::Held, &delivery, &attempt, around.now);
            (Next::Wait(Box::new(delivery)), step)
        }
        Verdict::RetryIn(delay) => {
            let mut step = step(Step::Attempt, &delivery, &attempt, around.now);
            let rounded = Duration::from_millis(delay.as_millis().try_into().unwrap_or(u64::MAX));
            step.detail = format!("{}; again in {}", step.detail, humantime::format_duration(rounded));
            let delivery = Box::new(attempted(delivery, attempt, trial));
            (Next::Retry { delivery, delay }, step)
        }
        Verdict::DeadLetter(give_up) => {
            let mut step = step(Step::Dead, &delivery, &attempt, around.now);
            let letter = bury(attempted(delivery, attempt, false), give_up, class, &step.detail, around);
            step.dead_letter_id = letter.id();
            (Next::Dead(Box::new(letter)), step)
        }
    }
}

fn judge(class: &FailureClass, number: u32, trial: bool, around: &Circumstances<'_>) -> Verdict {
    if !trial {
        return around.policy.judge(number, around.elapsed, class, around.jitter);
    }
    let endless = RetryPolicy { max_attempts: u32::MAX, max_age: Duration::MAX, ..around.policy.clone() };
    endless.judge(number, Duration::ZERO, class, around.jitter)
}

/// The delivery with one more attempt in its account.
fn attempted(mut delivery: Delivery, attempt: Attempt, trial: bool) -> Delivery {
    if !trial {
        delivery.attempt = attempt.number;
    }
    delivery.first_attempt = delivery.first_attempt.or(Some(attempt.time));
    delivery.attempts.push(attempt);
    let surplus = delivery.attempts.len().saturating_sub(Delivery::KEPT_ATTEMPTS);
    delivery.attempts.drain(..surplus);
    delivery
}

fn bury(
    delivery: Delivery,
    give_up: GiveUp,
    class: FailureClass,
    detail: &str,
    around: &Circumstances<'_>,
) -> DeadLetter {
    let reason = match give_up {
        GiveUp::Rejected => DeadLetterReason::Rejected,
        GiveUp::AttemptsExhausted => DeadLetterReason::AttemptsExhausted,
        GiveUp::TooOld => DeadLetterReason::TooOld,
    };
    DeadLetter {
        contents: Contents::Delivery(Box::new(delivery)),
        reason,
        detail: detail.to_owned(),
        class: Some(class),
        policy: Some(around.policy.clone()),
        time: around.now,
        dropped_body: None,
    }
}

fn step(step: Step, delivery: &Delivery, attempt: &Attempt, now: DateTime<Utc>) -> JourneyStep {
    JourneyStep {
        class: attempt.class.clone(),
        status: attempt.status,
        attempt: attempt.number,
        detail: attempt.detail.clone(),
        ..JourneyStep::of_delivery(step, delivery, now)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use trunkline_core::Event;

    use super::*;

    fn delivery(attempt: u32) -> Delivery {
        Delivery {
            event: Event::builder("1", "shop", "commerce.order.paid").build().unwrap(),
            body: None,
            subscription: "paid".to_owned(),
            destination: "crm".to_owned(),
            rule_set: "v".to_owned(),
            attempt,
            generation: 2,
            routed: DateTime::UNIX_EPOCH,
            first_attempt: None,
            replay_id: "r".to_owned(),
            attempts: Vec::new(),
        }
    }

    fn tried(number: u32, class: Option<FailureClass>) -> Tried {
        let attempt = Attempt {
            number,
            time: DateTime::UNIX_EPOCH,
            took: Duration::from_millis(3),
            class,
            detail: "it said no".to_owned(),
            status: Some(500),
            response: String::new(),
            request: String::new(),
            instance: "here".to_owned(),
        };
        Tried { attempt, gone: false, trial: false }
    }

    fn run(tried: Tried) -> (Next, JourneyStep) {
        let policy =
            RetryPolicy { max_attempts: 3, max_age: Duration::from_secs(60), ..RetryPolicy::default() };
        let around = Circumstances {
            policy: &policy,
            now: DateTime::UNIX_EPOCH,
            elapsed: Duration::from_secs(if tried.attempt.number == 2 { 3600 } else { 0 }),
            jitter: 1.0,
        };
        decide(delivery(tried.attempt.number - 1), tried, &around)
    }

    #[track_caller]
    fn check(tried: Tried, expected_next: &str, expected_step: Step) {
        let (next, step) = run(tried);
        let said = match next {
            Next::Settle => "settle".to_owned(),
            Next::Retry { delivery, delay } => format!("retry {} in {delay:?}", delivery.attempt),
            Next::Dead(letter) => {
                assert_eq!(step.dead_letter_id, letter.id());
                format!("dead {:?} after {}", letter.reason, letter.attempts().len())
            }
            Next::Wait(delivery) => format!("wait with {}", delivery.attempt),
        };
        assert_eq!((said.as_str(), step.step), (expected_next, expected_step));
        assert_eq!((step.destination.as_str(), step.generation, step.replay_id.as_str()), ("crm", 2, "r"));
    }

    fn throttled(seconds: u64) -> Option<FailureClass> {
        Some(FailureClass::Throttled { retry_after: Duration::from_secs(seconds) })
    }

    #[test]
    fn every_outcome_leads_to_one_thing() {
        use FailureClass::{Halted, Rejected, Transient};
        check(tried(1, None), "settle", Step::Delivered);
        check(tried(1, Some(Transient)), "retry 1 in 1s", Step::Attempt);
        check(tried(1, throttled(16)), "retry 1 in 17s", Step::Attempt);
        check(tried(1, Some(Rejected)), "dead Rejected after 1", Step::Dead);
        check(tried(2, Some(Transient)), "dead TooOld after 1", Step::Dead);
        check(tried(3, Some(Transient)), "dead AttemptsExhausted after 1", Step::Dead);
        check(tried(3, Some(Halted)), "wait with 2", Step::Held);
        check(Tried { gone: true, ..tried(3, Some(Transient)) }, "wait with 2", Step::Held);
    }

    #[test]
    fn a_failed_trial_ends_nothing_and_costs_nothing() {
        let trial = |class| Tried { trial: true, ..tried(3, class) };
        check(trial(None), "settle", Step::Delivered);
        check(trial(Some(FailureClass::Transient)), "retry 2 in 4s", Step::Attempt);
        check(trial(throttled(16)), "retry 2 in 17s", Step::Attempt);
        check(trial(Some(FailureClass::Halted)), "wait with 2", Step::Held);
        check(trial(Some(FailureClass::Rejected)), "dead Rejected after 1", Step::Dead);
    }

    #[test]
    fn the_account_of_attempts_is_bounded_and_the_event_untouched() {
        let mut life = delivery(0);
        let event = life.event.clone();
        for number in 1..=25 {
            life = attempted(life, tried(number, Some(FailureClass::Transient)).attempt, false);
        }
        let kept: Vec<u32> = life.attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(kept, (16..=25).collect::<Vec<_>>());
        assert_eq!((life.attempt, life.first_attempt), (25, Some(DateTime::UNIX_EPOCH)));
        assert_eq!(life.event, event);
    }
}
