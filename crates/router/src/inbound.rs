//! What a record of `events` is: an event that the bus accepted, or something that somebody else put there.

use bytes::Bytes;
use trunkline_sdk::accepted::is_accepted;
use trunkline_sdk::broker::{Headers, Key, Received};
use trunkline_sdk::core::Event;
use trunkline_sdk::core::event::binding::from_record;

/// Headers of an event's record that its deliveries carry on.
const CARRIED_HEADERS: [&str; 2] = ["traceparent", "tracestate"];
/// How much of a foreign record's headers a dead letter tells, in bytes.
const TOLD_HEADERS: usize = 1024;

/// An event as it is routed.
pub(crate) struct Inbound {
    /// In the bus's own form, whatever it came in.
    pub(crate) event: Event,
    /// The ordering key of all that is made of it.
    pub(crate) key: Key,
    /// What the records that are made of it carry on.
    pub(crate) headers: Headers,
}

/// Reads a record. `foreign` records are those that nobody accepted before.
///
/// # Errors
/// Why it is no event, in words for an operator.
pub(crate) fn read(record: &Received, foreign: bool) -> Result<Inbound, String> {
    if !foreign {
        let event = Event::decode(record.value.clone()).map_err(|error| error.to_string())?;
        return Ok(Inbound { event, key: record.key.clone(), headers: carried(record) });
    }
    let event = from_record(&record.headers, &record.key, record.value.clone())
        .map_err(|error| format!("{error}{}", told(&record.headers)))?;
    // A key that is no text can't be the event's, but keeps its order all the same.
    let own = event.attribute("partitionkey").is_some() || record.key.is_empty();
    let key = if own { event.key() } else { record.key.clone() };
    Ok(Inbound { event, key, headers: carried(record) })
}

/// Whether a record was put on `events` by something else than a gateway or a replay.
pub(crate) fn is_foreign(record: &Received) -> bool {
    !is_accepted(&record.headers)
}

/// The headers that go on with whatever is made of a record.
pub(crate) fn carried(record: &Received) -> Headers {
    let carried = |name: &str| CARRIED_HEADERS.contains(&name);
    record.headers.iter().filter(|(name, _)| carried(name)).cloned().collect()
}

/// The headers that a foreign record says itself with: its value alone does not show what was wrong, and a dead letter
/// keeps nothing else of them.
fn told(headers: &[(String, Bytes)]) -> String {
    let mut told = String::new();
    let says = |name: &str| name.starts_with("ce_") || name.starts_with("content-");
    for (name, value) in headers.iter().filter(|(name, _)| says(name)) {
        let start = if told.is_empty() { "; headers" } else { "," };
        let value = String::from_utf8_lossy(value);
        told.push_str(&format!("{start} {}: {}", name.escape_debug(), value.escape_debug()));
    }
    if told.len() > TOLD_HEADERS {
        told.truncate(told.floor_char_boundary(TOLD_HEADERS));
        told.push('…');
    }
    told
}
