//! OpenTelemetry: one trace from the request to the platform's answer, metrics, and a bus that does not care whether
//! anybody takes them.

mod away;
mod metered;
mod processes;
mod traced;

use reqwest::Method;
use serde_json::Value;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture};

use crate::SOON;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// An instance that sends every event of source `suite` to a receiver.
async fn bus(environment: Vec<(String, String)>) -> (Instance, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("all", &receiver.url("/all"), "retry: { first: 10ms }");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    let setup = Setup::new(fixture::sections(&[destination], &[subscription]));
    (Instance::start(Setup { environment, ..setup }).await, receiver)
}

/// Publishes an event as part of the caller's trace, sampled or not.
async fn publish(gateway: &Instance, event: &Value, sampled: bool) {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = [
        header("content-type", "application/cloudevents+json"),
        header("traceparent", &format!("00-{TRACE}-{CALLER}-0{}", u8::from(sampled))),
        header("tracestate", "vendor=1"),
    ];
    gateway.send(Method::POST, gateway.gateway("/v1/events"), &headers, event.to_string()).await.expect(202);
}

/// The delivery that the platform got.
async fn delivered(receiver: &Receiver) -> trunkline_sdk::testing::ReceivedRequest {
    receiver.wait_for(1, SOON).await.expect("it was not delivered").remove(0)
}
