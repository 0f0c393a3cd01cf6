//! What the gateway counts by the names of its configuration. Every series begins at zero, so that the first of anything is
//! a growth, and a source that says nothing is known to say nothing.

use metrics::{Counter, counter};
use trunkline_sdk::config::{KeyEntry, Scope};
use trunkline_sdk::metric;

/// Which way events came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A platform called.
    Webhook,
    /// A source fetched them.
    Polling,
    /// Somebody with a key, or on this machine, published them.
    Publish,
}

/// Who publishes where there are no keys.
const LOCAL: &str = "local";

/// Counts accepted events of a source, or of a key.
pub(crate) fn accepted(entry: Entry, source: &str) -> Counter {
    let entry = match entry {
        Entry::Webhook => "webhook",
        Entry::Polling => "polling",
        Entry::Publish => "publish",
    };
    counter!(metric::GATEWAY_ACCEPTED, "entry" => entry, "source" => source.to_owned())
}

/// A webhook source is there.
pub(crate) fn webhook(name: &str) {
    accepted(Entry::Webhook, name).increment(0);
    counter!(metric::GATEWAY_UNSIGNED, "source" => name.to_owned()).increment(0);
}

/// A source that fetches is there.
pub(crate) fn polling(name: &str) {
    accepted(Entry::Polling, name).increment(0);
}

/// These may publish.
pub(crate) fn keys(keys: &[KeyEntry]) {
    for key in keys.iter().filter(|key| key.scopes.contains(&Scope::Publish)) {
        accepted(Entry::Publish, &key.name).increment(0);
    }
    if keys.is_empty() {
        accepted(Entry::Publish, LOCAL).increment(0);
    }
}

/// The gateway starts, and these may publish.
pub(crate) fn begin(may: &[KeyEntry]) {
    keys(may);
    for reason in ["full", "unavailable"] {
        counter!(metric::GATEWAY_REFUSED, "reason" => reason).increment(0);
    }
    counter!(metric::GATEWAY_DUPLICATES).increment(0);
    counter!(metric::GATEWAY_NOT_NORMALIZED).increment(0);
}
