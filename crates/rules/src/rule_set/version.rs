//! The version of a rule set: a hash of what it says.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use trunkline_core::config::{Node, NodeValue};

/// The first 16 hexadecimal digits of a SHA-256 over the section, the keys of its maps in ascending order.
pub(super) fn of(section: Option<&Node>) -> Arc<str> {
    let mut hash = Sha256::new();
    if let Some(node) = section {
        absorb(node, &mut hash);
    }
    hex::encode(&hash.finalize()[..8]).into()
}

/// Every value begins with a letter for its kind and text with its length, so that no two documents look alike.
fn absorb(node: &Node, hash: &mut Sha256) {
    match &node.value {
        NodeValue::Null => hash.update(b"n"),
        NodeValue::Boolean(truth) => hash.update([b'b', u8::from(*truth)]),
        NodeValue::Integer(integer) => {
            hash.update(b"i");
            hash.update(integer.to_be_bytes());
        }
        NodeValue::Float(float) => {
            hash.update(b"f");
            hash.update(float.to_bits().to_be_bytes());
        }
        NodeValue::Text { text, .. } => absorb_text(text, hash),
        NodeValue::List(items) => {
            absorb_length(b'l', items.len(), hash);
            items.iter().for_each(|item| absorb(item, hash));
        }
        NodeValue::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
            absorb_length(b'm', entries.len(), hash);
            for (key, value) in entries {
                absorb_text(&key.name, hash);
                absorb(value, hash);
            }
        }
    }
}

fn absorb_text(text: &str, hash: &mut Sha256) {
    absorb_length(b't', text.len(), hash);
    hash.update(text);
}

fn absorb_length(kind: u8, length: usize, hash: &mut Sha256) {
    hash.update([kind]);
    hash.update((length as u64).to_be_bytes());
}
