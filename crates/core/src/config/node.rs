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
    /// Text, quoted or not.
    Text {
        /// The text.
        text: Arc<str>,
        /// Where its characters stand in the file; see [`Node::place_in_text`].
        marks: Arc<[Mark]>,
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

/// From byte `offset` of a text on, up to the next mark, the characters stand one after the other in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// In bytes of the text.
    pub offset: usize,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the file, from 1, in characters.
    pub column: usize,
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
    pub fn warning(
        &self,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..self.error(code, message, hint) }
    }

    /// The place in the file of byte `offset` of a text node's text (for errors inside a program): exact in block
    /// scalars, and through escapes and folded lines of the others. An offset beyond the text is its end; the place of a
    /// node that is no text is the node's.
    pub fn place_in_text(&self, offset: usize) -> Place {
        let NodeValue::Text { text, marks } = &self.value else {
            return self.place.clone();
        };
        let offset = offset.min(text.len());
        let Some(mark) = marks.iter().rev().find(|mark| mark.offset <= offset) else {
            return self.place.clone();
        };
        let since = text.as_bytes().get(mark.offset..offset).unwrap_or_default();
        // Bytes that continue a character are not counted, so that an offset inside one does no harm.
        let characters = since.iter().filter(|byte| (**byte & 0xC0) != 0x80).count();
        Place { file: Arc::clone(&self.place.file), line: mark.line, column: mark.column + characters }
    }

    /// Reads typed settings. All mistakes go to `diagnostics` (unknown keys with "did you mean", wrong types, missing
    /// fields); `None` when there was any.
    pub fn read<T: DeserializeOwned>(&self, diagnostics: &mut Diagnostics) -> Option<T> {
        super::read::read(self, diagnostics)
    }
}
