//! Typed settings from a node, every mistake with its place.

use serde::de::DeserializeOwned;

use super::diagnostic::Diagnostics;
use super::node::Node;

pub(super) fn read<T: DeserializeOwned>(node: &Node, diagnostics: &mut Diagnostics) -> Option<T> {
    todo!("{node:?} {diagnostics:?}")
}
