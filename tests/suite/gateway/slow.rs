//! Clients that take their time do not get ours.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use trunkline_tests::{fixture, wire};

use super::bus;
use crate::SOON;

const LIMITS: &str = "header_timeout: 500ms\nbody_timeout: 500ms";

async fn begin(address: (&str, u16), bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_and_bodies_that_do_not_come_end_the_connection() {
    let (bus, _receiver) = bus(LIMITS).await;
    let address = bus.gateway_address();
    let began = Instant::now();
    // A head without its end, and one that is dripped byte by byte.
    let half = begin(address, "POST /v1/events HTTP/1.1\r\nhost: localhost\r\n").await;
    let (status, text) = wire::finish(half, SOON).await;
    assert!(matches!(status, None | Some(408)), "{text}");
    let mut dripped = begin(address, "POST").await;
    let dripping = async {
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if dripped.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, dripping).await.expect("a dripped head was read for ever");
    // A body without its end.
    let body = "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/cloudevents+json\r\ncontent-length: 100\r\n\r\n{";
    let (status, text) = wire::finish(begin(address, body).await, Duration::from_secs(5)).await;
    assert_eq!(status, Some(408), "{text}");
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// D11 in small: connections that say nothing keep nobody out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_keep_nobody_out() {
    let (bus, _receiver) = bus(LIMITS).await;
    let mut slow = Vec::new();
    for _ in 0..500 {
        slow.push(begin(bus.gateway_address(), "POST /v1/events HTTP/1.1\r\n").await);
    }
    let began = Instant::now();
    for at in 0..20 {
        bus.publish(&fixture::event(&at.to_string(), "suite.made", json!({}))).await.expect(202);
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    drop(slow);
    assert_eq!(bus.settled(SOON).await["events"]["accepted"], 20);
}
