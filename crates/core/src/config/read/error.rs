//! What can be wrong while a node is read, in words that repeat no value where it could be a secret.

use std::fmt::{self, Display};
use std::sync::Arc;

use serde::de::{self, Expected, Unexpected};

use super::super::diagnostic::Place;
use super::super::node::{Key, Node};

/// One mistake; boxed, because it travels through every `Result` of a deserialization.
#[derive(Debug)]
pub(super) struct ReadError(pub(super) Box<Parts>);

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) kind: Kind,
    pub(super) hint: Option<String>,
    /// Where; the innermost node that knows of the error sets it.
    pub(super) spot: Option<Spot>,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A key that the type does not have.
    UnknownKey { name: String, expected: &'static [&'static str] },
    /// A word that is none of those permitted.
    UnknownVariant { name: String, expected: &'static [&'static str] },
    /// A key that must be there.
    Missing(&'static str),
    /// Another problem, in words.
    Value(String),
    /// A stand-in for this key that its type did not take.
    StandIn(&'static str),
}

/// A place and path in the document.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) path: Arc<str>,
}

impl Spot {
    pub(super) fn of(node: &Node) -> Self {
        Self { place: node.place.clone(), path: Arc::clone(&node.path) }
    }

    /// The spot of a key, with the path of its value.
    pub(super) fn of_key(key: &Key, node: &Node) -> Self {
        Self { place: key.place.clone(), path: Arc::clone(&node.path) }
    }
}

impl ReadError {
    fn new(kind: Kind) -> Self {
        Self(Box::new(Parts { kind, hint: None, spot: None }))
    }

    pub(super) fn stand_in(name: &'static str) -> Self {
        Self::new(Kind::StandIn(name))
    }

    /// Sets where it is, unless something further in did.
    pub(super) fn at(mut self, spot: impl FnOnce() -> Spot) -> Self {
        self.0.spot.get_or_insert_with(spot);
        self
    }

    /// Adds a hint to an error that has no place yet, which is one about the very value being read.
    pub(super) fn hint(mut self, hint: &str) -> Self {
        if self.0.spot.is_none() {
            self.0.hint.get_or_insert_with(|| hint.to_owned());
        }
        self
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            Kind::UnknownKey { name, .. } => write!(f, "unknown key `{name}`"),
            Kind::UnknownVariant { name, .. } => write!(f, "unknown variant `{name}`"),
            Kind::Missing(name) => write!(f, "key `{name}` is missing"),
            Kind::Value(message) => f.write_str(message),
            Kind::StandIn(name) => write!(f, "no value for `{name}`"),
        }
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(Kind::Value(message.to_string()))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        // The value itself is not repeated: where text is expected it may be a secret.
        Self::new(Kind::Value(format!(
            "expected {}, found {}",
            words(&expected.to_string()),
            found(&unexpected)
        )))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = words(&expected.to_string());
        Self::new(Kind::Value(match unexpected {
            Unexpected::Signed(number) => format!("{number} is not {expected}"),
            Unexpected::Unsigned(number) => format!("{number} is not {expected}"),
            Unexpected::Float(number) => format!("{number} is not {expected}"),
            other => format!("expected {expected}, found {}", found(&other)),
        }))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Self::new(Kind::Value(format!("expected {expected}, found {length} entries")))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownVariant { name: variant.to_owned(), expected })
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey { name: field.to_owned(), expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(Kind::Value(format!("key `{field}` stands here twice")))
    }
}

fn found(unexpected: &Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "a truth value",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a map",
        _ => "something else",
    }
}

/// Rust's words for what is expected, in those of a configuration.
fn words(expected: &str) -> String {
    let unsigned = |bits: u32| format!("a whole number from 0 to {}", u64::MAX >> (64 - bits));
    let signed =
        |bits: u32| format!("a whole number from {} to {}", i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
    match expected {
        "a string" | "a borrowed string" | "string" | "str" => "text".to_owned(),
        "a character" => "one character".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "u8" => unsigned(8),
        "u16" => unsigned(16),
        "u32" => unsigned(32),
        "i8" => signed(8),
        "i16" => signed(16),
        "i32" => signed(32),
        "u64" | "usize" => "a whole number that is not negative".to_owned(),
        "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a sequence" => "a list".to_owned(),
        nonzero if nonzero.starts_with("a nonzero ") => "a whole number that is not 0".to_owned(),
        kind if kind.starts_with("struct ") || kind.starts_with("struct variant ") => "a map".to_owned(),
        kind if kind.starts_with("enum ") => "one of its words".to_owned(),
        other => other.to_owned(),
    }
}
