//! Bytes of every format that was ever released decode for ever (style.md, rule 23).
//!
//! A file here is written once, by `TRUNKLINE_GOLDEN=write`, and never changed: a format that changes gets new files
//! beside the old ones. What stands in a file is compared with what was put into it, field by field.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trunkline_core::dead_letter::{Contents, DroppedBody, RawRequest};
use trunkline_core::delivery::Attempt;
use trunkline_core::event::Attribute;
use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_core::{Body, DeadLetter, DeadLetterReason, Delivery, Event, FailureClass, RetryPolicy};
use trunkline_proto::commerce::v1::Order;
use trunkline_proto::types::v1::Money;
use trunkline_tests::{command, workspace};

fn path(name: &str) -> PathBuf {
    workspace::root().join("tests/golden").join(name)
}

/// The bytes of a file; written first where that is asked for and there is none.
fn golden(name: &str, made: &[u8]) -> Bytes {
    let path = path(name);
    if !path.exists() && std::env::var("TRUNKLINE_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(&path, made).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; was it deleted?", path.display())).into()
}

/// Decodes a file and compares it with what was put in.
#[track_caller]
fn check<T: PartialEq + Debug, E: Debug>(
    name: &str,
    value: &T,
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(Bytes) -> Result<T, E>,
) {
    let decoded = decode(golden(name, &encode(value))).unwrap();
    assert_eq!(decoded, *value, "{name}");
    assert_eq!(encode(&decoded), encode(value), "{name}: what is decoded encodes as what was made");
}

fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + seconds, 123_456_789).unwrap()
}

fn event() -> Event {
    let order = Order {
        id: "820982911946154508".to_owned(),
        email: Some("jön@example.com".to_owned()),
        currency: Some("EUR".to_owned()),
        total: Some(Money { currency: "EUR".to_owned(), minor_units: -4_250 }),
        ..Order::default()
    };
    let builder = Event::builder("w-1", "shop", "commerce.order.created")
        .time(time(0))
        .subject("order/1")
        .key("order:1");
    let traced = builder.attribute(
        "traceparent",
        Attribute::Text("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    );
    let typed =
        traced.attribute("flag", Attribute::Boolean(true)).attribute("number", Attribute::Integer(-7));
    let more = typed
        .attribute("bytes", Attribute::Binary(Bytes::from_static(b"\x00\xff")))
        .attribute("dataschema", Attribute::Uri("https://example.com/schema".into()));
    more.proto(&order).build().unwrap()
}

fn attempt(number: u32, class: Option<FailureClass>) -> Attempt {
    Attempt {
        number,
        time: time(10 + i64::from(number)),
        took: Duration::from_millis(1_500),
        class,
        detail: "answered 503 Service Unavailable".to_owned(),
        status: Some(503),
        response: "{\"error\":\"später\"}".to_owned(),
        request: "POST https://crm.example.com/contacts".to_owned(),
        instance: "host-1".to_owned(),
    }
}

fn delivery() -> Delivery {
    let throttled = FailureClass::Throttled { retry_after: Duration::from_millis(7_500) };
    Delivery {
        event: event(),
        body: Some(Body {
            bytes: Bytes::from_static(b"{\"total\":-4250}"),
            content_type: "application/json".to_owned(),
        }),
        subscription: "big-paid-orders".to_owned(),
        destination: "crm".to_owned(),
        rule_set: "5d41402abc4b2a76".to_owned(),
        attempt: 3,
        generation: 2,
        routed: time(1),
        first_attempt: Some(time(11)),
        replay_id: "019a0000000070008000000000000000".to_owned(),
        attempts: vec![
            attempt(1, Some(FailureClass::Transient)),
            attempt(2, Some(throttled)),
            attempt(3, None),
        ],
    }
}

fn dead(contents: Contents, reason: DeadLetterReason, class: Option<FailureClass>) -> DeadLetter {
    let policy = RetryPolicy { factor: 1.5, ..RetryPolicy::default() };
    let dropped_body = matches!(reason, DeadLetterReason::TooLarge)
        .then_some(DroppedBody { length: 5_000_000_000, sha256: [0xa5; 32] });
    let (detail, time) = ("answered 503 Service Unavailable".to_owned(), time(99));
    DeadLetter { contents, reason, detail, policy: class.as_ref().map(|_| policy), class, time, dropped_body }
}

#[test]
fn an_event_of_version_1_decodes() {
    check("event.v1.bin", &event(), |event| event.encoded().clone(), Event::decode);
    let text = Event::builder("t", "suite", "text.made").json("{\"a\":[1,2.50,\"ü\"]}").build().unwrap();
    check("event-json.v1.bin", &text, |event| event.encoded().clone(), Event::decode);
    let binary =
        Event::builder("b", "suite", "binary.made").binary("image/png", &b"\x89PNG"[..]).build().unwrap();
    check("event-binary.v1.bin", &binary, |event| event.encoded().clone(), Event::decode);
}

#[test]
fn a_delivery_of_version_1_decodes() {
    check("delivery.v1.bin", &delivery(), Delivery::encode, Delivery::decode);
    let bare = Delivery {
        body: None,
        first_attempt: None,
        attempts: Vec::new(),
        replay_id: String::new(),
        ..delivery()
    };
    check("delivery-bare.v1.bin", &bare, Delivery::encode, Delivery::decode);
}

#[test]
fn a_dead_letter_of_version_1_decodes() {
    let whole = || Contents::Delivery(Box::new(delivery()));
    let bodiless = Contents::Delivery(Box::new(Delivery { body: None, ..delivery() }));
    let raw = RawRequest {
        source: "shop".to_owned(),
        method: "POST".to_owned(),
        path: "/hooks/shop?a=b".to_owned(),
        headers: vec![("x-shopify-topic".to_owned(), "orders/create".to_owned())],
        body: Bytes::from_static(b"{\"id\":1,\"id\":2}"),
        received: time(5),
    };
    let reasons = [
        DeadLetterReason::Rejected,
        DeadLetterReason::AttemptsExhausted,
        DeadLetterReason::TooOld,
        DeadLetterReason::ConditionFailed,
        DeadLetterReason::TransformFailed,
        DeadLetterReason::TemplateMissingValue,
        DeadLetterReason::UnknownDestination,
    ];
    for reason in reasons {
        let letter = dead(whole(), reason, Some(FailureClass::Rejected));
        let name = format!("dead-letter-{}.v1.bin", format!("{reason:?}").to_lowercase());
        check(&name, &letter, DeadLetter::encode, DeadLetter::decode);
    }
    for (name, letter) in [
        ("dropped-body", dead(bodiless, DeadLetterReason::TooLarge, None)),
        (
            "malformed",
            dead(Contents::Malformed(Bytes::from_static(b"\xff\x00?")), DeadLetterReason::Undecodable, None),
        ),
        ("webhook", dead(Contents::Webhook(raw), DeadLetterReason::NotNormalized, None)),
    ] {
        check(&format!("dead-letter-{name}.v1.bin"), &letter, DeadLetter::encode, DeadLetter::decode);
    }
    // The id is kept in stores, so it must not change either.
    let id = dead(whole(), DeadLetterReason::Rejected, None).id();
    let kept = golden("dead-letter-id.v1.txt", id.as_bytes());
    assert_eq!(id.as_bytes(), &kept[..]);
}

#[test]
fn a_journey_record_of_version_1_decodes() {
    let steps = [
        Step::Accepted,
        Step::Duplicate,
        Step::Filtered,
        Step::Routed,
        Step::Attempt,
        Step::Held,
        Step::Delivered,
        Step::Dead,
        Step::Replayed,
        Step::Undecodable,
        Step::Discarded,
    ];
    let steps = steps.into_iter().map(|step| JourneyStep {
        class: Some(FailureClass::Halted),
        status: Some(401),
        dead_letter_id: "0123456789abcdef0123456789abcdef".to_owned(),
        detail: "in words".to_owned(),
        ..JourneyStep::of_delivery(step, &delivery(), time(7))
    });
    let counts = JourneyCounts {
        accepted: 1,
        duplicate: 2,
        routed: 3,
        filtered: 4,
        undecodable: 5,
        made: 6,
        attempts: 7,
        delivered: 8,
        dead: 9,
        held: 10,
        replayed: 11,
        discarded: 12,
    };
    let record = JourneyRecord {
        instance: "host-1".to_owned(),
        service: "dispatcher".to_owned(),
        time: time(8),
        steps: steps.collect(),
        counts,
    };
    check("journey.v1.bin", &record, JourneyRecord::encode, JourneyRecord::decode);
}

/// A configuration of version 1 that names every setting is valid, and stays so.
#[tokio::test]
async fn a_configuration_of_version_1_loads() {
    let environment = [("GOLDEN_SECRET".to_owned(), "whsec_Z29sZGVuLXNlY3JldC1vZi10aGUtc3VpdGU=".to_owned())];
    let file = path("configuration.v1.yaml");
    let arguments = ["check", "--json", "-c", file.to_str().unwrap()];
    let folder = tempfile::tempdir().unwrap();
    let printed = command::run(&arguments, folder.path(), &environment).await.expect(0);
    let last = printed.lines().pop().unwrap();
    assert_eq!((&last["errors"], &last["warnings"]), (&0.into(), &0.into()), "{}", printed.out);
}
