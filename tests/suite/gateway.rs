//! What the gateway takes, and every way it says no.

mod forms;
mod refusals;
mod slow;

use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture};

/// An instance that sends every event of source `suite` to a receiver.
async fn bus(gateway: &str) -> (Instance, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("all", &receiver.url("/all"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    let setup = Setup::new(fixture::sections(&[destination], &[subscription])).gateway(gateway);
    (Instance::start(setup).await, receiver)
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
