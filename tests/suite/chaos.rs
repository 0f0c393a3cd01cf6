//! Faults: processes killed, stopped and drained under load. `cargo xtask chaos` runs these at their full count.

mod drained;
mod kafka;
mod killed;
mod rabbitmq;
mod replayed;
mod rolled;
mod settled;

use std::collections::BTreeSet;

use trunkline_sdk::testing::ReceivedRequest;
use trunkline_tests::{Instance, Ledger, Oracle, Tag};

/// What the oracle is to judge at the end: receipts, dead letters, and what the bus still knows of what is missing.
async fn oracle(bus: &Instance, ledger: &Ledger, received: &[ReceivedRequest]) -> Oracle {
    let mut oracle = Oracle::new(ledger, received);
    let dead = bus.list("/api/v1/dead-letters?limit=500").await;
    oracle.dead = dead.iter().filter_map(|letter| Tag::parse(letter["event_id"].as_str()?)).collect();
    let distinct: BTreeSet<Tag> = oracle.received.iter().copied().collect();
    for tag in oracle.acked.iter().filter(|tag| !distinct.contains(tag) && !oracle.dead.contains(tag)) {
        if bus.get(&format!("/api/v1/explain?id={}", tag.id())).await.is_success() {
            oracle.known.insert(*tag);
        }
    }
    oracle
}
