//! The router's metrics.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use tracing::warn;
use trunkline_sdk::core::SubscriptionName;
use trunkline_sdk::metric;

use crate::convert::Converted;

/// Lets what is counted begin at zero, so that the first of anything is a growth.
pub(crate) fn begin() {
    for outcome in ["routed", "filtered", "undecodable"] {
        counter!(metric::ROUTER_EVENTS, "outcome" => outcome).increment(0);
    }
    gauge!(metric::HAND_OVER_STUCK, "service" => "router").set(0.0);
}

/// Lets each subscription's alarm begin at zero. One that rings already rings on until the next batch.
pub(crate) fn unrestrained<'a>(subscriptions: impl Iterator<Item = &'a SubscriptionName>) {
    for name in subscriptions {
        gauge!(metric::ROUTER_RESTRAINED, "subscription" => name.to_string()).increment(0.0);
    }
}

/// Counts what a batch became and says each rule failure once.
pub(crate) fn batch(converted: &Converted, records: usize) {
    let counts = &converted.counts;
    histogram!(metric::ROUTER_BATCH_RECORDS).record(records as f64);
    counter!(metric::ROUTER_EVENTS, "outcome" => "routed").increment(counts.routed);
    counter!(metric::ROUTER_EVENTS, "outcome" => "filtered").increment(counts.filtered);
    counter!(metric::ROUTER_EVENTS, "outcome" => "undecodable").increment(counts.undecodable);
    for (subscription, destination, deliveries) in &converted.made {
        let labels = [("subscription", subscription.to_string()), ("destination", destination.to_string())];
        counter!(metric::ROUTER_DELIVERIES, &labels).increment(*deliveries);
    }
    for failure in &converted.failures {
        let labels =
            [("subscription", failure.subscription.to_string()), ("stage", failure.stage.to_string())];
        counter!(metric::ROUTER_RULE_FAILURES, &labels).increment(1);
        if !failure.ran {
            // Said once, when its time was used up; these are as many as events.
            continue;
        }
        warn!(
            subscription = %failure.subscription,
            destination = %failure.destination,
            stage = %failure.stage,
            detail = failure.detail,
            "a subscription failed on an event; the delivery is a dead letter"
        );
    }
}

/// A hand-over that can't be done now, as long as it lives.
pub(crate) struct Stuck;

impl Stuck {
    pub(crate) fn begin() -> Self {
        gauge!(metric::HAND_OVER_STUCK, "service" => "router").increment(1.0);
        Self
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        gauge!(metric::HAND_OVER_STUCK, "service" => "router").decrement(1.0);
    }
}

/// Records how long a hand-over took.
pub(crate) fn handed_over(took: Duration) {
    histogram!(metric::HAND_OVER_DURATION, "service" => "router").record(took.as_secs_f64());
}
