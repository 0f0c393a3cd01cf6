//! Secrets that are not set, found wherever a configuration refers to one, without asking any adapter.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use trunkline_core::config::{Diagnostic, Diagnostics, Node, NodeValue, Secret, Severity};

use super::code;
use crate::secrets::{SecretError, Secrets};

/// The references below `node` (itself included) whose secret can't be read, each with its node.
pub fn unset_secrets<'a>(node: &'a Node, secrets: &Secrets) -> Vec<(&'a Node, SecretError)> {
    let mut found = Vec::new();
    collect(node, secrets, &mut found);
    found
}

/// Adds a diagnostic for every secret below `node` that can't be read: a warning for `trunkline check`, an error for a
/// start.
pub fn report_unset(node: &Node, secrets: &Secrets, severity: Severity, diagnostics: &mut Diagnostics) {
    for (node, error) in unset_secrets(node, secrets) {
        let hint = match &error {
            SecretError::Unset(_) => "set it in the environment of the service that needs it".to_owned(),
            SecretError::File { cause, .. } => format!("make the file readable for the service: {cause}"),
        };
        let diagnostic = node.error(code::UNSET_SECRET, error.to_string(), Some(hint));
        diagnostics.push(Diagnostic { severity, ..diagnostic });
    }
}

fn collect<'a>(node: &'a Node, secrets: &Secrets, found: &mut Vec<(&'a Node, SecretError)>) {
    match &node.value {
        NodeValue::Text { text, .. } => {
            if let Some(error) = secret_reference(text).and_then(|secret| secrets.check(&secret).err()) {
                found.push((node, error));
            }
        }
        NodeValue::List(items) => items.iter().for_each(|item| collect(item, secrets, found)),
        NodeValue::Map(entries) => entries.iter().for_each(|(_key, value)| collect(value, secrets, found)),
        _ => {}
    }
}

/// The secret behind a text that is a reference and nothing else.
pub fn secret_reference(text: &str) -> Option<Secret> {
    let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
    Secret::deserialize(deserializer).ok()
}
