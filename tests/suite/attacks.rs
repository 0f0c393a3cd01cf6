//! Attacks through the front door: what a hostile caller, event, platform or configuration may try.

mod bombs;
mod canary;
mod escapes;
mod headers;
mod isolated;
mod parsers;
mod private;
mod spent;

use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture};

/// An instance that sends every event of source `suite` to one destination, `all`.
async fn bus(gateway: &str, sections: &str) -> (Instance, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("all", &receiver.url("/all"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    let text = format!("{sections}{}", fixture::sections(&[destination], &[subscription]));
    (Instance::start(Setup::new(text).gateway(gateway)).await, receiver)
}
