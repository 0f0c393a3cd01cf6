//! The store, tried on real SQLite files and a real PostgreSQL.
//!
//! Cases listed by `on_each_database!` run on both. PostgreSQL is the shared one of the test run.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

/// Makes each case a test on SQLite and one on PostgreSQL.
macro_rules! on_each_database {
    ($($case:ident),+ $(,)?) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case($crate::Fixture::sqlite().await).await;
                }
            )+
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $case() {
                    if let Some(fixture) = $crate::Fixture::postgres(stringify!($case)).await {
                        super::$case(fixture).await;
                    }
                }
            )+
        }
    };
}

mod account;
mod dead_letters;
mod destinations;
mod fixture;
mod journeys;
mod open;
mod processes;
mod prune;
mod replays;
mod seen;
mod server;

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trunkline_core::dead_letter::{Contents, RawRequest};
use trunkline_core::{Attempt, DeadLetter, DeadLetterReason, Delivery, Event, FailureClass};

use fixture::Fixture;

/// So many seconds after the beginning of the test's time.
fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

fn delivery(id: &str, destination: &str, generation: u32) -> Delivery {
    Delivery {
        event: Event::builder(id, "shop", "commerce.order.created").build().unwrap(),
        body: None,
        subscription: "orders".to_owned(),
        destination: destination.to_owned(),
        rule_set: "v1".to_owned(),
        attempt: 3,
        generation,
        routed: at(0),
        first_attempt: Some(at(1)),
        replay_id: String::new(),
        attempts: vec![Attempt {
            number: 3,
            time: at(2),
            took: Duration::from_millis(20),
            class: Some(FailureClass::Transient),
            detail: "status 503".to_owned(),
            status: Some(503),
            response: "busy".to_owned(),
            request: "POST https://crm.example.com/".to_owned(),
            instance: "one".to_owned(),
        }],
    }
}

fn dead(id: &str, destination: &str, generation: u32, time: DateTime<Utc>) -> (String, DeadLetter) {
    let letter = DeadLetter {
        contents: Contents::Delivery(Box::new(delivery(id, destination, generation))),
        reason: DeadLetterReason::AttemptsExhausted,
        detail: format!("order {id}: status 503 after 30s"),
        class: Some(FailureClass::Transient),
        policy: None,
        time,
        dropped_body: None,
    };
    (destination.to_owned(), letter)
}

fn malformed(bytes: &'static [u8], time: DateTime<Utc>) -> (String, DeadLetter) {
    let contents = Contents::Malformed(Bytes::from_static(bytes));
    let letter = DeadLetter {
        contents,
        reason: DeadLetterReason::Undecodable,
        detail: "not a protobuf CloudEvent".to_owned(),
        class: None,
        policy: None,
        time,
        dropped_body: None,
    };
    ("router".to_owned(), letter)
}

fn webhook(body: &'static [u8], time: DateTime<Utc>) -> (String, DeadLetter) {
    let request = RawRequest {
        source: "shop".to_owned(),
        method: "POST".to_owned(),
        path: "/hooks/shop".to_owned(),
        headers: vec![("x-topic".to_owned(), "orders/create".to_owned())],
        body: Bytes::from_static(body),
        received: time,
    };
    let letter = DeadLetter {
        contents: Contents::Webhook(request),
        reason: DeadLetterReason::NotNormalized,
        detail: "no `id`".to_owned(),
        class: None,
        policy: None,
        time,
        dropped_body: None,
    };
    ("gateway".to_owned(), letter)
}
