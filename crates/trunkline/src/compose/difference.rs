//! What a changed configuration changes that only a start can bring about.

use trunkline_core::config::{Node, NodeValue};
use trunkline_sdk::config::SECTIONS;

/// Sections that a running process follows.
const FOLLOWED: [&str; 4] = ["types", "sources", "destinations", "subscriptions"];
/// What is followed inside the other sections.
const FOLLOWED_KEY: &str = "keys";

/// The sections in which the documents differ and that are read at a start only, keys left out.
pub(super) fn needs_restart(started: &Node, changed: &Node) -> Vec<&'static str> {
    let differs = |section: &&str| !same_section(started.get(section), changed.get(section));
    SECTIONS.into_iter().filter(|section| !FOLLOWED.contains(section)).filter(differs).collect()
}

fn same_section(a: Option<&Node>, b: Option<&Node>) -> bool {
    let parts = |node: Option<&Node>| -> Vec<(String, Node)> {
        let entries = node.into_iter().flat_map(Node::entries).filter(|(key, _)| &*key.name != FOLLOWED_KEY);
        let mut entries: Vec<_> = entries.map(|(key, value)| (key.name.to_string(), value.clone())).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries
    };
    let (a_parts, b_parts) = (parts(a), parts(b));
    let scalars = match (a, b) {
        (Some(a), Some(b)) => is_map(a) && is_map(b) || same(a, b),
        // A section that is left out is as one without entries.
        (Some(one), None) | (None, Some(one)) => is_map(one) || matches!(one.value, NodeValue::Null),
        (None, None) => true,
    };
    let entries = a_parts.len() == b_parts.len()
        && a_parts.iter().zip(&b_parts).all(|((a, value), (b, other))| a == b && same(value, other));
    scalars && entries
}

fn is_map(node: &Node) -> bool {
    matches!(node.value, NodeValue::Map(_))
}

/// Whether two nodes say the same, wherever they stand and in whatever order their entries are.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (NodeValue::Text { text, .. }, NodeValue::Text { text: other, .. }) => text == other,
        (NodeValue::List(items), NodeValue::List(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(item, other)| same(item, other))
        }
        (NodeValue::Map(entries), NodeValue::Map(others)) => {
            entries.len() == others.len()
                && entries.iter().all(|(key, value)| b.get(&key.name).is_some_and(|other| same(value, other)))
        }
        (value, other) => value == other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use trunkline_core::config::parse;

    use super::*;

    #[track_caller]
    fn check(started: &str, changed: &str, expected: &[&str]) {
        let parsed = |text| parse("trunkline.yaml", text).unwrap();
        assert_eq!(needs_restart(&parsed(started), &parsed(changed)), expected, "{started} -> {changed}");
    }

    #[test]
    fn sections_read_at_a_start_are_named_and_what_is_followed_is_not() {
        check("version: 1", "version: 1\n# a comment\n", &[]);
        check("version: 1", "gateway: {}\nversion: 1", &[]);
        check("gateway: { listen: a, keys: [1] }", "gateway: { keys: [2, 3], listen: a }", &[]);
        check("gateway: { listen: a }", "gateway: { listen: b }", &["gateway"]);
        check("router: {}", "console: { keys: [1] }", &[]);
        check("router: {}", "console: { max_replays: 2 }", &["console"]);
        check("broker: a\nstore: b", "broker: c\nstore: d", &["broker", "store"]);
        check("channels: { a: { b: 1, c: 2 } }", "channels: { a: { c: 2, b: 1 } }", &[]);
        check("channels: { a: { b: 1 } }", "channels: { a: { b: 2 } }", &["channels"]);
        check("types: { t: { message: a } }", "router: {}", &[]);
        check("destinations: { a: 1 }\nsources: {}", "subscriptions: { s: 1 }", &[]);
    }
}
