//! The configuration document: a tree of values with positions, and every mistake in it named at once.
//!
//! A configuration is YAML (of which JSON is a part). It is parsed into a tree of [`Node`]s, each of which knows its file, line and column.
//! Typed settings are read from a node with [`Node::read`], which goes on after a mistake, so that one bad entry hides
//! no other. Nothing here opens a file: the text comes in, diagnostics go out.

pub mod codes;
mod diagnostic;
mod hint;
mod merge;
mod node;
mod parse;
mod read;
mod scalar;
mod secret;
mod setting;

pub use diagnostic::{Diagnostic, Diagnostics, Place, Severity};
pub use hint::did_you_mean;
pub use merge::merge;
pub use node::{Key, Mark, Node, NodeValue};
pub use parse::parse;
pub use secret::{Secret, SecretReference};
pub use setting::{DurationSetting, Rate, SizeSetting};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
