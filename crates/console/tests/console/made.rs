//! Events, dead letters and journeys, as the other services would make them.

use std::time::Duration;

use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::chrono::{DateTime, Utc};
use trunkline_sdk::core::dead_letter::{Contents, RawRequest};
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::core::{Attempt, Body, DeadLetter, DeadLetterReason, Delivery, RetryPolicy};
use trunkline_sdk::{Event, FailureClass};

/// Seconds after the beginning of 2026.
pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
}

pub(crate) fn event(id: &str) -> Event {
    let data = format!(r#"{{"order": "{id}", "total": 4200}}"#);
    Event::builder(id, "shop", "order.created").key(format!("key-{id}")).json(data).build().unwrap()
}

/// A delivery of [`event`] to `destination` because of subscription `orders`, with a body of its time.
pub(crate) fn delivery(id: &str, destination: &str) -> Delivery {
    let body = Bytes::from(format!(r#"{{"then": "{id}"}}"#));
    Delivery {
        event: event(id),
        body: Some(Body { content_type: "application/json".into(), bytes: body }),
        subscription: "orders".to_owned(),
        destination: destination.to_owned(),
        rule_set: "then".to_owned(),
        attempt: 2,
        generation: 0,
        routed: at(0),
        first_attempt: Some(at(1)),
        replay_id: String::new(),
        attempts: vec![attempt(1, 503), attempt(2, 503)],
    }
}

fn attempt(number: u32, status: u32) -> Attempt {
    Attempt {
        number,
        time: at(i64::from(number)),
        took: Duration::from_millis(20),
        class: Some(FailureClass::Transient),
        detail: format!("answered {status}"),
        status: Some(status),
        response: "down for maintenance".to_owned(),
        request: "POST https://crm.example.com/contacts".to_owned(),
        instance: "dispatcher-1".to_owned(),
    }
}

/// A dead letter of a delivery, `seconds` after the beginning.
pub(crate) fn dead_of(delivery: Delivery, seconds: i64) -> DeadLetter {
    DeadLetter {
        contents: Contents::Delivery(Box::new(delivery)),
        reason: DeadLetterReason::AttemptsExhausted,
        detail: "gave up after 2 attempts: answered 503".to_owned(),
        class: Some(FailureClass::Transient),
        policy: Some(RetryPolicy::default()),
        time: at(seconds),
        dropped_body: None,
    }
}

/// The first dead letter of event `id`.
pub(crate) fn dead(id: &str, destination: &str, seconds: i64) -> DeadLetter {
    dead_of(delivery(id, destination), seconds)
}

/// As [`dead`], with a failure of its own.
pub(crate) fn rejected(id: &str, destination: &str, seconds: i64, status: Option<u32>) -> DeadLetter {
    let mut delivery = delivery(id, destination);
    delivery.attempts = vec![Attempt { status, class: Some(FailureClass::Rejected), ..attempt(1, 0) }];
    DeadLetter {
        reason: DeadLetterReason::Rejected,
        class: Some(FailureClass::Rejected),
        detail: format!("order {id} is refused"),
        ..dead_of(delivery, seconds)
    }
}

/// A webhook of source `hooks` that did not normalize.
pub(crate) fn webhook(body: &str) -> DeadLetter {
    let headers = [("content-type", "application/json"), ("x-kind", "made")];
    DeadLetter {
        contents: Contents::Webhook(RawRequest {
            source: "hooks".to_owned(),
            method: "POST".to_owned(),
            path: "/hooks/hooks".to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: Bytes::from(body.to_owned()),
            received: at(5),
        }),
        reason: DeadLetterReason::NotNormalized,
        detail: "$.kind: missing".to_owned(),
        class: None,
        policy: None,
        time: at(6),
        dropped_body: None,
    }
}

/// What a service says on the journey: one step of each delivery, and these counts.
pub(crate) fn journey(service: &str, step: Step, of: &[Delivery], counts: JourneyCounts) -> JourneyRecord {
    let steps = of.iter().map(|delivery| JourneyStep::of_delivery(step, delivery, Utc::now())).collect();
    JourneyRecord {
        instance: "test".to_owned(),
        service: service.to_owned(),
        time: Utc::now(),
        steps,
        counts,
    }
}
