//! Small events and entries of configurations that many cases share.

use serde_json::{Value, json};

/// An event with JSON data, in structured JSON.
pub fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "suite",
        "type": kind,
        "datacontenttype": "application/json",
        "data": data,
    })
}

/// As [`event`], with an ordering key.
pub fn keyed(id: &str, kind: &str, key: &str) -> Value {
    let mut event = event(id, kind, json!({ "key": key }));
    event["partitionkey"] = key.into();
    event
}

/// An entry of `destinations:` that calls a URL on this machine; `runtime` are further settings, one a line.
pub fn http(name: &str, url: &str, runtime: &str) -> String {
    let mut entry =
        format!("  {name}:\n    adapter: http\n    settings: {{ url: \"{url}\", allow_private: true }}\n");
    for line in runtime.lines().filter(|line| !line.trim().is_empty()) {
        entry.push_str(&format!("    {}\n", line.trim()));
    }
    entry
}

/// An entry of `subscriptions:`, with a pattern in flow style.
pub fn subscription(name: &str, pattern: &str, to: &str) -> String {
    format!("  {name}: {{ match: {pattern}, to: {to} }}\n")
}

/// Sections with these entries.
pub fn sections(destinations: &[String], subscriptions: &[String]) -> String {
    format!("destinations:\n{}subscriptions:\n{}", destinations.concat(), subscriptions.concat())
}
