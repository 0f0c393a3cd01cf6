//! X5 and X6: bodies made to cost more to read than to send.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use trunkline_tests::{Answered, Instance, fixture, heavy, wire};

use super::spent::spent;
use crate::SOON;

/// What it is called, its headers, its body.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], Vec<u8>);

const STRUCTURED: &str = "application/cloudevents+json";

async fn post(bus: &Instance, headers: &[(&str, &str)], body: Vec<u8>) -> Answered {
    let headers: Vec<_> = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    bus.send(Method::POST, bus.gateway("/v1/events"), &headers, body).await
}

fn with_data(data: &str) -> Vec<u8> {
    format!(r#"{{"specversion":"1.0","id":"1","source":"suite","type":"t","data":{data}}}"#).into_bytes()
}

/// A protobuf message nested in groups or in messages, `depth` deep, in an unknown field of a CloudEvent.
fn nested_protobuf(groups: bool, depth: usize) -> Vec<u8> {
    if groups {
        // Field 100, start and end of a group.
        return [[0xa3, 0x06].repeat(depth), [0xa4, 0x06].repeat(depth)].concat();
    }
    // The data is an Any whose value nests; decoding the envelope must not look into it.
    let mut bytes = Vec::new();
    for _ in 0..depth.min(20_000) {
        let mut outer = vec![0x0a];
        let mut length = bytes.len();
        while length >= 0x80 {
            outer.push((length as u8) | 0x80);
            length >>= 7;
        }
        outer.push(length as u8);
        outer.extend_from_slice(&bytes);
        bytes = outer;
        if bytes.len() > 60_000 {
            break;
        }
    }
    bytes
}

/// An object with so many keys, which are compared to their ends before they differ.
fn very_many_keys(count: usize, width: usize) -> String {
    let keys: String = (0..count).map(|at| format!("\"{at:0>width$}\":0,")).collect();
    format!("{{{keys}\"last\":0}}")
}

/// Most processor time of the whole process for one hostile request: the figure of X6.
const MOST: Duration = Duration::from_millis(10);
/// Requests of each kind, of which the mean counts.
const TIMES: u32 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_bodies_are_refused_at_once() {
    let (bus, receiver) = super::bus("", "").await;
    let structured: &[(&str, &str)] = &[("content-type", STRUCTURED)];
    let binary: &[(&str, &str)] = &[
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "suite"),
        ("ce-type", "t"),
        ("content-type", "application/json"),
    ];
    let protobuf: &[(&str, &str)] = &[("content-type", "application/cloudevents+protobuf")];
    let batch: &[(&str, &str)] = &[("content-type", "application/cloudevents-batch+json")];
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let keys: String = (0..9_000).map(|at| format!("\"{at}\":0,")).collect();
    let same: String = "\"a\":0,".repeat(100_000);
    let cases: [Case; 18] = [
        ("deep arrays", structured, with_data(&deep("[", "]"))),
        ("deep objects", structured, with_data(&deep("{\"a\":", "}"))),
        ("deep and unclosed", structured, with_data(&"[".repeat(500_000))),
        ("deep, binary mode", binary, deep("[", "]").into_bytes()),
        ("deep beside the data", structured, deep("{\"x\":", "}").into_bytes()),
        ("the same key again and again", structured, with_data(&format!("{{{same}\"a\":0}}"))),
        ("the same key twice, far apart", structured, with_data(&format!("{{{keys}\"0\":0}}"))),
        (
            "a key twice in the envelope",
            structured,
            br#"{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}"#.to_vec(),
        ),
        ("very many keys", structured, with_data(&very_many_keys(90_000, 0))),
        ("very many keys that are much alike", structured, with_data(&very_many_keys(10_001, 90))),
        ("very many keys in the envelope", structured, very_many_keys(90_000, 0).into_bytes()),
        ("not a number", structured, with_data("NaN")),
        ("not a number, at the end", structured, with_data(&format!("[{}NaN]", "0,".repeat(500_000)))),
        ("a batch of no events", batch, format!("[{}0]", "0,".repeat(500_000)).into_bytes()),
        ("a batch of empty events", batch, format!("[{}{{}}]", "{},".repeat(340_000)).into_bytes()),
        ("groups in groups", protobuf, nested_protobuf(true, 100_000)),
        ("messages in messages", protobuf, nested_protobuf(false, 20_000)),
        ("a length beyond the end", protobuf, vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    let _alone = heavy::load().await;
    for (name, headers, body) in cases {
        post(&bus, headers, body.clone()).await.expect(400);
        let before = spent(&bus);
        for _ in 0..TIMES {
            post(&bus, headers, body.clone()).await.expect(400);
        }
        let mean = (spent(&bus) - before) / TIMES;
        println!("X6: {mean:?} of processor time: {name}, {} bytes", body.len());
        assert!(mean <= MOST, "{name}: {mean:?}");
    }
    // So many keys are no fault; they are data like any other.
    post(&bus, structured, with_data(&format!("{{{keys}\"last\":0}}"))).await.expect(202);
    receiver.wait_for(1, SOON).await.expect("what is right did not arrive");
    assert_eq!(bus.settled(SOON).await["events"]["accepted"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_bodies_are_not_unpacked() {
    let (bus, _receiver) = super::bus(
        "",
        "sources: { shop: { adapter: hmac, settings: { secret: '${env:PATH}', scheme: github } } }\n",
    )
    .await;
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, gzip", "x-unknown"] {
        let headers = [("content-type", STRUCTURED), ("content-encoding", encoding)];
        post(&bus, &headers, b"\x1f\x8b\x08\x00".to_vec()).await.expect(415);
    }
}

/// Bodies that are too long cost no more memory than the limit for each connection that sends one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_bodies_cost_no_memory() {
    const LIMIT: u64 = 1 << 20;
    const SENDERS: u64 = 40;
    let _alone = heavy::load().await;
    let (bus, _receiver) = super::bus("", "").await;
    for at in 0..50 {
        bus.publish(&fixture::event(&format!("warm-{at}"), "suite.made", json!({}))).await.expect(202);
    }
    let before = bus.resident();
    let mut body = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: {STRUCTURED}\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..64 {
        body.extend(b"10000\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 0x10000)).chain(*b"\r\n"));
    }
    let mut peak = before;
    let sends = futures::future::join_all(
        (0..SENDERS)
            .map(|_| async { wire::exchange(bus.gateway_address(), &body, Duration::from_secs(5)).await.0 }),
    );
    tokio::pin!(sends);
    let answers = loop {
        tokio::select! {
            answers = &mut sends => break answers,
            () = tokio::time::sleep(Duration::from_millis(10)) => peak = peak.max(bus.resident()),
        }
    };
    // One that was still writing when the connection was closed may miss the answer, none may be accepted.
    assert!(answers.iter().all(|status| matches!(status, None | Some(413))), "{answers:?}");
    assert!(answers.contains(&Some(413)), "{answers:?}");
    println!("X5: {} KiB before, {} KiB at most", before >> 10, peak >> 10);
    assert!(peak - before <= 2 * LIMIT * SENDERS, "{} KiB more", (peak - before) >> 10);
    bus.publish(&fixture::event("after", "suite.made", json!({}))).await.expect(202);
}
