//! Every refusal has its status, a problem that says what is wrong, and leaves nothing behind.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture, wire};

use super::{bus, header};
use crate::SOON;

const STRUCTURED: &str = "application/cloudevents+json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_an_event_is_refused() {
    let (bus, _receiver) = bus("").await;
    let good = fixture::event("1", "suite.made", json!({})).to_string();
    let no_type = good.replace("suite.made", "");
    let twice = good.replace(r#""data":{}"#, r#""data":{"a":1,"a":2}"#);
    let ce = |name: &str, value: &str| header(&format!("ce-{name}"), value);
    let binary = |more: &[(String, String)]| {
        let mut headers =
            vec![ce("specversion", "1.0"), ce("id", "1"), ce("source", "suite"), ce("type", "t")];
        headers.extend_from_slice(more);
        headers
    };
    let typed = |content_type: &str| vec![header("content-type", content_type)];
    for (headers, body, status, says) in [
        (typed(STRUCTURED), "{", 400, "read"),
        (typed(STRUCTURED), "[]", 400, ""),
        (typed(STRUCTURED), "\u{0}", 400, ""),
        (typed(STRUCTURED), no_type.as_str(), 400, "type"),
        (typed(STRUCTURED), twice.as_str(), 400, ""),
        (typed("application/cloudevents-batch+json"), "[]", 400, "empty"),
        (typed("application/cloudevents-batch+json"), good.as_str(), 400, "list"),
        (typed("application/cloudevents+protobuf"), good.as_str(), 400, ""),
        (vec![ce("specversion", "1.0"), ce("source", "s"), ce("type", "t")], "", 400, "ce-id"),
        (vec![ce("id", "1"), ce("source", "s"), ce("type", "t")], "", 400, "ce-specversion"),
        (binary(&[ce("time", "yesterday")]), "", 400, "ce-time"),
        (binary(&[header("content-type", "application/json")]), "{", 400, ""),
        (binary(&[header("content-type", "application/json")]), "{\"a\":1,\"a\":2}", 400, ""),
        (typed("application/cloudevents+xml"), good.as_str(), 415, "application/cloudevents+xml"),
        (typed("application/json"), good.as_str(), 415, "ce-"),
        (
            vec![header("content-type", STRUCTURED), header("content-encoding", "gzip")],
            good.as_str(),
            415,
            "gzip",
        ),
    ] {
        let answer = bus.send(Method::POST, bus.gateway("/v1/events"), &headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {body}: {answer:?}");
        let problem = answer.expect(status).json();
        assert!(problem["detail"].as_str().unwrap().contains(says), "{headers:?} {body}: {problem}");
    }
    // A page in a browser here, which reaches the gateway by a name of its own (DNS rebinding).
    let foreign = [header("content-type", STRUCTURED), header("host", "page.example")];
    let answer = bus.send(Method::POST, bus.gateway("/v1/events"), &foreign, good.as_str()).await;
    assert_eq!(answer.expect(403).json()["type"], "urn:trunkline:problem:foreign_host");
    bus.send(Method::POST, bus.gateway("/nothing"), &[], "").await.expect(404);
    // Platforms call webhooks by whatever name leads here; what they send is signed.
    bus.hook("nobody", &[header("host", "hooks.example")], b"{}").await.expect(404);
    bus.send(Method::GET, bus.gateway("/v1/events"), &[], "").await.expect(405);
    assert_eq!(bus.settled(SOON).await["events"]["accepted"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_limited_announced_or_not() {
    let (bus, _receiver) = bus("max_body: 64KiB").await;
    // Announced: refused before a byte of it was sent.
    let head = format!("POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: {STRUCTURED}\r\n");
    let announced = format!("{head}content-length: 10000000000\r\n\r\n");
    let (status, text) = wire::exchange(bus.gateway_address(), announced.as_bytes(), SOON).await;
    assert_eq!(status, Some(413), "{text}");
    // Chunked: refused as soon as it is too long, without an end ever coming.
    let mut chunked = format!("{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n").into_bytes();
    for _ in 0..20 {
        chunked.extend(format!("{:x}\r\n", 8192).bytes().chain([b'x'; 8192]).chain(*b"\r\n"));
    }
    let (status, text) = wire::exchange(bus.gateway_address(), &chunked, SOON).await;
    assert_eq!(status, Some(413), "{text}");
    let long = fixture::event("1", "suite.made", json!("x".repeat(64 * 1024)));
    let problem = bus.publish(&long).await.expect(413).json();
    assert!(problem["detail"].as_str().unwrap().contains("max_body"), "{problem}");
    let fits = fixture::event("2", "suite.made", json!("x".repeat(60 * 1024)));
    bus.publish(&fits).await.expect(202);
    assert_eq!(bus.settled(SOON).await["events"]["accepted"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_over_its_rate_is_told_when_to_come_back() {
    let (bus, _receiver) = bus("rate_limit: 3/m").await;
    for at in 0..3 {
        bus.publish(&fixture::event(&at.to_string(), "suite.made", json!({}))).await.expect(202);
    }
    let problem = bus.publish(&fixture::event("3", "suite.made", json!({}))).await.expect_later(429).json();
    assert!(problem["detail"].as_str().unwrap().contains("rate_limit"), "{problem}");
    assert_eq!(bus.settled(SOON).await["events"]["accepted"], 3);
}

/// Not confirmed in time: 503. The same request, sent again when it can be, is accepted or recognised; never both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_did_not_confirm_is_not_acknowledged() {
    let (mut bus, receiver) = bus("confirm_timeout: 0s").await;
    let events: Vec<_> =
        (0..50).map(|at| fixture::event(&format!("e{at}"), "suite.made", json!({}))).collect();
    let mut unconfirmed = 0;
    for event in &events {
        // A disk that syncs within a millisecond confirms in no time at all.
        let answer = bus.publish(event).await;
        if answer.status != 202 {
            answer.expect_later(503);
            unconfirmed += 1;
        }
    }
    println!("{unconfirmed} of {} were not confirmed in time", events.len());
    bus.reconfigure(|setup| setup.gateway.clear());
    assert!(bus.terminate(SOON).await.success());
    bus.restart().await;
    for event in &events {
        bus.publish(event).await.expect(202);
    }
    let account = bus.settled(SOON).await;
    assert_eq!((&account["events"]["accepted"], receiver.count()), (&50.into(), 50), "{account}");
}

/// E5 through the gateway: a broker without room refuses, keeps what it took, and delivers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_broker_refuses_and_loses_nothing() {
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("all", &receiver.url("/all"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    let mut setup = Setup::new(fixture::sections(&[destination], &[subscription]));
    setup.broker = "embedded:./data?max_bytes=4MiB".to_owned();
    let bus = Instance::start(setup).await;
    let mut accepted = 0;
    let refused = loop {
        let event = fixture::event(&format!("e{accepted}"), "suite.made", json!("x".repeat(64 * 1024)));
        let answer = bus.publish(&event).await;
        if !answer.is_success() {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 1_000, "64 MiB fit into 4 MiB");
    };
    refused.expect_later(503);
    assert!(accepted > 10, "only {accepted} events fit");
    receiver.wait_for(accepted, SOON).await.expect("what was accepted is not delivered");
    let ids = receiver.requests().iter().filter(|request| request.header("ce-id").is_some()).count();
    assert_eq!(ids, accepted, "what was refused was carried");
}

/// A stop lets the requests under way end, and takes no new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_gateway_takes_no_more() {
    let (bus, _receiver) = bus("").await;
    bus.publish(&fixture::event("1", "suite.made", json!({}))).await.expect(202);
    assert!(bus.terminate(Duration::from_secs(20)).await.success());
    let headers = [header("content-type", STRUCTURED)];
    let refused = bus.try_send(Method::POST, bus.gateway("/v1/events"), &headers, Vec::new()).await;
    assert!(refused.is_err_and(|error| error.is_connect()));
}
