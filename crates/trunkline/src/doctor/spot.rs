//! Places in a configuration, also of what stands in it by default only.

use trunkline_core::config::{Diagnostic, Node, Place, Severity};
use trunkline_sdk::config::Shared;

/// A place and the path of the entry there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    place: Place,
    path: String,
}

impl Spot {
    /// An entry.
    pub(super) fn of(node: &Node) -> Self {
        Self { place: node.place.clone(), path: node.path.to_string() }
    }

    /// `section.key`, or as much of it as stands in the configuration. A section that is left out has the document's place.
    pub(super) fn at(shared: &Shared, section: &str, key: &str) -> Self {
        match shared.section_node(section) {
            Some(node) => Self::of(node.get(key).unwrap_or(node)),
            None => Self { path: section.to_owned(), ..Self::of(&shared.root) },
        }
    }

    /// A finding here.
    pub(super) fn diagnostic(
        self,
        severity: Severity,
        code: &'static str,
        message: String,
        hint: String,
    ) -> Diagnostic {
        Diagnostic { severity, place: self.place, path: self.path, message, hint: Some(hint), code }
    }
}
