//! The runtime's metrics.

use chrono::{DateTime, Utc};
use metrics::{Gauge, counter, gauge, histogram};
use trunkline_core::{Attempt, DeadLetterReason, DestinationName, FailureClass};
use trunkline_store::DestinationStateKind as Standing;
use trunkline_store::words::{ClassKind, Word};

use super::gate::Trouble;
use crate::metric;

const SERVICE: &str = "dispatcher";
const TROUBLES: [Trouble; 4] = [
    Trouble::Circuit,
    Trouble::State(Standing::Held),
    Trouble::State(Standing::Paused),
    Trouble::State(Standing::Disabled),
];

/// An attempt ended, of a delivery that was made at `routed`.
pub(super) fn attempt(
    destination: &DestinationName,
    attempt: &Attempt,
    routed: DateTime<Utc>,
    now: DateTime<Utc>,
) {
    let destination = destination.to_string();
    let class = attempt.class.as_ref().map_or("delivered", class);
    counter!(metric::DELIVERY_ATTEMPTS, "destination" => destination.clone(), "class" => class).increment(1);
    histogram!(metric::DELIVERY_DURATION, "destination" => destination.clone())
        .record(attempt.took.as_secs_f64());
    if attempt.class.is_none() {
        let age = (now - routed).to_std().unwrap_or_default();
        histogram!(metric::DELIVERY_AGE, "destination" => destination).record(age.as_secs_f64());
    }
}

/// A dead letter was made.
pub(super) fn dead_letter(destination: &DestinationName, reason: DeadLetterReason) {
    let destination = destination.to_string();
    counter!(metric::DELIVERY_DEAD_LETTERS, "destination" => destination, "reason" => reason.word())
        .increment(1);
}

/// The store did not answer.
pub(super) fn store_failure() {
    counter!(metric::STORE_FAILURES, "service" => SERVICE).increment(1);
}

/// The gauge of the alarm about hand-overs.
pub(super) fn hand_over_stuck() -> Gauge {
    gauge!(metric::HAND_OVER_STUCK, "service" => SERVICE)
}

/// A hand-over was done.
pub(super) fn handed_over(took: std::time::Duration) {
    histogram!(metric::HAND_OVER_DURATION, "service" => SERVICE).record(took.as_secs_f64());
}

/// The word for a class.
pub(super) fn class(class: &FailureClass) -> &'static str {
    ClassKind::from(class).word()
}

/// The word for a trouble.
pub(super) fn trouble(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Circuit => "circuit",
        Trouble::State(state) => state.word(),
    }
}

/// Lets what is counted of a destination begin at zero, so that the first dead letter is a growth.
fn begin(destination: &str) {
    let classes = ClassKind::ALL.iter().map(|class| class.word());
    for class in classes.chain(["delivered"]) {
        counter!(metric::DELIVERY_ATTEMPTS, "destination" => destination.to_owned(), "class" => class)
            .increment(0);
    }
    for reason in DeadLetterReason::ALL {
        counter!(metric::DELIVERY_DEAD_LETTERS, "destination" => destination.to_owned(), "reason" => reason.word())
            .increment(0);
    }
}

/// One destination's gauges.
pub(super) struct Gauges {
    waiting: Gauge,
    under_way: Gauge,
    troubles: [Gauge; TROUBLES.len()],
}

impl Gauges {
    pub(super) fn new(destination: &DestinationName) -> Self {
        let label = destination.to_string();
        begin(&label);
        Self {
            waiting: gauge!(metric::DELIVERY_WAITING, "destination" => label.clone()),
            under_way: gauge!(metric::DELIVERY_IN_FLIGHT, "destination" => label.clone()),
            troubles: TROUBLES.map(|kind| {
                gauge!(metric::DELIVERY_HELD, "destination" => label.clone(), "reason" => trouble(kind))
            }),
        }
    }

    pub(super) fn set(&self, waiting: usize, under_way: usize, trouble: Option<Trouble>) {
        // Counts of things in memory are far below 2^52.
        self.waiting.set(waiting as f64);
        self.under_way.set(under_way as f64);
        for (kind, gauge) in TROUBLES.iter().zip(&self.troubles) {
            gauge.set(f64::from(u8::from(trouble == Some(*kind))));
        }
    }
}
