//! `types:` - a team's own messages, by their descriptor sets.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use trunkline_core::TypeCatalogue;
use trunkline_core::config::{Diagnostics, Node};

use super::code;

/// One entry of `types:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypeEntry {
    /// A file with the encoded `FileDescriptorSet` (`protoc --include_imports --descriptor_set_out=FILE`).
    pub descriptor: String,
    /// The message's full name, for example `acme.shop.v1.Order`.
    pub message: String,
    /// The events that carry the message: those whose type is this, or begins with it and a dot (`acme.order` means
    /// `acme.order.created` too). The entry's name unless given.
    pub events: Option<String>,
    /// Hash of the descriptor file's content when it was read, so that a changed file is a changed entry.
    #[serde(skip)]
    pub content: [u8; 32],
}

/// Registers every type; those that are wrong are told and left out.
pub(super) fn read_type(
    name: &str,
    node: &Node,
    folder: &Path,
    catalogue: &mut TypeCatalogue,
    diagnostics: &mut Diagnostics,
) -> Option<TypeEntry> {
    let mut entry: TypeEntry = node.read(diagnostics)?;
    let at = |name: &str| node.get(name).unwrap_or(node);
    let path = folder.join(&entry.descriptor);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("`{}` can't be read: {error}", path.display());
            diagnostics.push(at("descriptor").error(code::TYPE, message, None));
            return None;
        }
    };
    entry.content = Sha256::digest(&bytes).into();
    let events = entry.events.as_deref().map_or(name, |events| events.trim_end_matches('.'));
    match catalogue.register_as(events, &bytes, &entry.message) {
        Ok(()) => Some(entry),
        Err(error) => {
            diagnostics.push(at("message").error(code::TYPE, error.to_string(), None));
            None
        }
    }
}
