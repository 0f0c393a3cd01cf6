//! From acceptance to delivery, through failures, dead letters and replays, and how operators see and steer it.

mod dead;
mod holds;
mod order;
mod reload;
mod retries;

use serde_json::{Value, json};
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, eventually, fixture};

use crate::SOON;

/// Retries that do not keep a test waiting.
const QUICK: &str = "retry: { max_attempts: 3, first: 10ms, max: 50ms }";

/// An instance that sends every event of source `suite` to one destination, `crm`.
async fn bus(runtime: &str) -> (Instance, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("crm", &receiver.url("/crm"), runtime);
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "crm");
    (Instance::start(Setup::new(fixture::sections(&[destination], &[subscription]))).await, receiver)
}

async fn publish(bus: &Instance, id: &str) {
    bus.publish(&fixture::event(id, "suite.made", json!({ "id": id }))).await.expect(202);
}

/// Waits for that many dead letters, and gives them.
pub(crate) async fn dead_letters(bus: &Instance, count: usize) -> Vec<Value> {
    eventually(format!("{count} dead letters"), SOON, async || {
        let items = bus.list("/api/v1/dead-letters?limit=500").await;
        (items.len() >= count).then_some(items)
    })
    .await
}

/// Waits until a destination is in a state, and gives what the console says of it.
async fn state(bus: &Instance, name: &str, state: &str) -> Value {
    eventually(format!("{name} to be {state}"), SOON, async || {
        let destination = bus.get(&format!("/api/v1/destinations/{name}")).await.expect(200).json();
        (destination["state"] == state).then_some(destination)
    })
    .await
}
