//! The tree a configuration is parsed into.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::diagnostic::{Diagnostic, Diagnostics, Place, Severity};

/// A value in a configuration document, with its place and its path.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// Names and indices from the document's root, joined by dots; empty at the root.
    pub path: Arc<str>,
    /// What it is.
    pub value: NodeValue,
}

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeValue {
    /// Nothing, `~` or `null`.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// Text. For a block scalar, `block_start` is the place of its first character of content, for positions inside.
    Text {
        /// The text.
        text: Arc<str>,
        /// Where the first character of the content stands.
        start: Place,
        /// How many columns each line of the content is indented in the file (0 for plain and quoted scalars).
        indent: usize,
    },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; each key with its own place.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The key's text.
    pub name: Arc<str>,
    /// Where it stands.
    pub place: Place,
}

impl Node {
    /// The member `name` of a map.
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.entries().find(|(key, _)| &*key.name == name).map(|(_, node)| node)
    }

    /// The entries of a map, in the order of the file; none for other nodes.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Node)> {
        let entries: &[(Key, Node)] = match &self.value {
            NodeValue::Map(entries) => entries,
            _ => &[],
        };
        entries.iter().map(|(key, node)| (key, node))
    }

    /// The text of a text node.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// An error about this node.
    pub fn error(&self, code: &'static str, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            place: self.place.clone(),
            path: self.path.to_string(),
            message: message.into(),
            hint,
            code,
        }
    }

    /// A warning about this node.
    pub fn warning(&self, code: &'static str, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self.error(code, message, hint) }
    }

    /// The place in the file of byte `offset` of a text node's text (for errors inside a program).
    pub fn place_in_text(&self, offset: usize) -> Place {
        todo!("{offset}")
    }

    /// Reads typed settings. All mistakes go to `diagnostics` (unknown keys with "did you mean", wrong types, missing
    /// fields); `None` when there was any.
    pub fn read<T: DeserializeOwned>(&self, diagnostics: &mut Diagnostics) -> Option<T> {
        super::read::read(self, diagnostics)
    }
}
