//! The forms of the CloudEvents HTTP binding.

use std::collections::BTreeSet;

use prost::Message as _;
use reqwest::Method;
use serde_json::json;
use trunkline_proto::cloudevents::v1::CloudEventBatch;
use trunkline_sdk::Event;
use trunkline_tests::fixture;

use super::{bus, header};
use crate::SOON;

/// Headers, body, and how many events it holds.
type Form = (Vec<(String, String)>, Vec<u8>, usize);

fn event(id: &str) -> Event {
    Event::builder(id, "suite", "suite.made").subject("a subject").json(r#"{"a":1}"#).build().unwrap()
}

fn batch(ids: &[&str]) -> Vec<u8> {
    let events = ids.iter().map(|id| prost::Message::decode(event(id).encoded().clone()).unwrap()).collect();
    CloudEventBatch { events }.encode_to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_is_taken_and_means_the_same() {
    let (bus, receiver) = bus("").await;
    let structured = |id: &str| {
        let mut event = fixture::event(id, "suite.made", json!({ "a": 1 }));
        event["subject"] = "a subject".into();
        event
    };
    let binary = vec![
        header("ce-specversion", "1.0"),
        header("ce-id", "binary"),
        header("ce-source", "suite"),
        header("ce-type", "suite.made"),
        header("ce-subject", "a%20subject"),
        header("content-type", "application/json"),
    ];
    let content_type = |value: &str| vec![header("content-type", value)];
    let list = json!([structured("json-batch-1"), structured("json-batch-2")]);
    let forms: [Form; 5] = [
        (binary, br#"{"a":1}"#.to_vec(), 1),
        (
            content_type("application/cloudevents+json; charset=utf-8"),
            structured("json").to_string().into(),
            1,
        ),
        (content_type("application/cloudevents-batch+json"), list.to_string().into(), 2),
        (content_type("application/cloudevents+protobuf"), event("protobuf").encoded().to_vec(), 1),
        (
            content_type("application/cloudevents-batch+protobuf"),
            batch(&["protobuf-batch-1", "protobuf-batch-2"]),
            2,
        ),
    ];
    for (headers, body, count) in forms {
        let answer = bus.send(Method::POST, bus.gateway("/v1/events"), &headers, body).await;
        assert_eq!(answer.expect(202).json(), json!({ "accepted": count, "duplicates": 0 }), "{headers:?}");
    }
    let received = receiver.wait_for(7, SOON).await.expect("not all were delivered");
    let ids: BTreeSet<&str> = received.iter().filter_map(|request| request.header("ce-id")).collect();
    let expected = [
        "binary",
        "json",
        "json-batch-1",
        "json-batch-2",
        "protobuf",
        "protobuf-batch-1",
        "protobuf-batch-2",
    ];
    assert_eq!(ids, BTreeSet::from(expected));
    for request in &received {
        assert_eq!(request.header("ce-subject"), Some("a%20subject"), "{request:?}");
        assert_eq!(request.header("content-type"), Some("application/json"), "{request:?}");
        assert_eq!(request.body, r#"{"a":1}"#, "{request:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_with_a_bad_event_is_refused_whole() {
    let (bus, receiver) = bus("").await;
    let mut bad = fixture::event("bad", "suite.made", json!({}));
    bad.as_object_mut().unwrap().remove("type");
    let list = json!([fixture::event("good", "suite.made", json!({})), bad]);
    let headers = [header("content-type", "application/cloudevents-batch+json")];
    let answer = bus.send(Method::POST, bus.gateway("/v1/events"), &headers, list.to_string()).await;
    let detail = answer.expect(400).json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains('1') && detail.contains("type"), "which event, and what is wrong: {detail}");
    let account = bus.settled(SOON).await;
    assert_eq!((&account["events"]["accepted"], receiver.count()), (&0.into(), 0), "{account}");
}
