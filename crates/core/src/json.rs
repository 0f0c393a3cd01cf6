//! Strict JSON: what other parsers would disagree about is refused.

use thiserror::Error;

use crate::value::Value;

/// How deep JSON may nest.
pub const MAX_DEPTH: usize = 64;

/// Why JSON text was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Not JSON.
    #[error("line {line} column {column}: {problem}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// The same key twice in one object: two parsers that disagree on which counts are a way round the rules.
    #[error("key `{0}` appears twice in one object")]
    DuplicateKey(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// Parses JSON text into a [`Value`], refusing duplicate keys and depth beyond [`MAX_DEPTH`].
///
/// # Errors
/// [`JsonError`] names the place or the key.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    todo!("{text}")
}

/// Checks JSON text as [`parse`] does, without building the value.
///
/// # Errors
/// As [`parse`].
pub fn check(text: &str) -> Result<(), JsonError> {
    todo!("{text}")
}
