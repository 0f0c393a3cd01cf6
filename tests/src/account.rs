//! What the console's account must say after faults.

use serde_json::Value;

/// Whether nothing moves and nothing is missing. After a `kill -9` what was done twice is counted twice, as "The account" in
/// docs/operations.md says; without one the account balances to the one.
pub fn holds(account: &Value) -> bool {
    let sum = |part: &str, names: &[&str]| {
        names.iter().map(|name| account[part][*name].as_u64().unwrap()).sum::<u64>()
    };
    let events = sum("events", &["routed", "filtered", "undecodable"]);
    let deliveries = sum("deliveries", &["delivered", "dead", "discarded", "held"]);
    let moving = sum("events", &["waiting"]) + sum("deliveries", &["in_flight"]);
    moving == 0 && sum("events", &["accepted"]) <= events && sum("deliveries", &["made"]) <= deliveries
}
