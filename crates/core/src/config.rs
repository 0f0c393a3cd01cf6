//! The configuration document: a tree of values with positions, and every mistake in it named at once.
//!
//! A configuration is YAML (of which JSON is a part). It is parsed into a tree of [`Node`]s, each of which knows its file, line and column.
//! Typed settings are read from a node with [`Node::read`], which goes on after a mistake, so that one bad entry hides
//! no other. Nothing here opens a file: the text comes in, diagnostics go out.

mod diagnostic;
mod node;
mod parse;
mod read;
mod secret;

pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use node::{Node, NodeValue};
pub use parse::{merge, parse};
pub use secret::{Secret, SecretReference};
