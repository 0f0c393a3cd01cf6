//! YAML text to a tree of nodes.

use super::diagnostic::Diagnostic;
use super::node::Node;

/// Parses one file. An empty file is an empty map.
///
/// # Errors
/// The syntax error, with its place: malformed YAML, a duplicate key, several documents, an anchor or alias
/// (not supported: they hide where a value stands), a key that is not text.
pub fn parse(file: &str, text: &str) -> Result<Node, Diagnostic> {
    todo!("{file} {text}")
}

/// Merges the files of a configuration folder: maps are joined section by section, an entry that stands in two files
/// is an error at its second place.
///
/// # Errors
/// One diagnostic for each entry that stands twice.
pub fn merge(files: Vec<Node>) -> Result<Node, Vec<Diagnostic>> {
    todo!("{files:?}")
}
