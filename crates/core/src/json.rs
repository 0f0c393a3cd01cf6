//! Strict JSON: what other parsers would disagree about is refused.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
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
    /// An object of more than [`MAX_MEMBERS`] members.
    #[error("an object of more than {MAX_MEMBERS} members")]
    TooManyMembers,
    /// More than so many values.
    #[error("more than {0} values")]
    TooManyValues(usize),
}

/// How many members one object may have. More are no business event but an attack on whoever keeps them apart.
pub const MAX_MEMBERS: usize = 10_000;

/// How many values a document may have to be looked into; those inside others count, too, and an object counts three. A
/// megabyte of small objects would take a hundred megabytes, and longer to build than thousands of events to route.
pub const MAX_VALUES: usize = 50_000;
/// What an object counts beside the one that every value does.
pub(crate) const OBJECT: usize = 2;

/// Parses JSON text into a [`Value`], refusing duplicate keys, depth beyond [`MAX_DEPTH`], objects of more than
/// [`MAX_MEMBERS`] and more than [`MAX_VALUES`] in all. A number is an integer when it is written without fraction and
/// exponent and is an `i64`; else it is a float, and one that no float can hold is a syntax error.
///
/// # Errors
/// [`JsonError`] names the place or the key.
pub fn parse(text: &str) -> Result<Value, JsonError> {
    read(text, MAX_DEPTH, MAX_VALUES)
}

/// Checks JSON text as [`parse`] does, without building the value. Who only carries values has place for more of them: as
/// many as twice [`MAX_VALUES`], or one for each eight bytes.
///
/// # Errors
/// As [`parse`].
pub fn check(text: &str) -> Result<(), JsonError> {
    check_to(text, MAX_DEPTH)
}

/// As [`check`] with another limit for the depth, for JSON that wraps somebody's JSON.
pub(crate) fn check_to(text: &str, depth: usize) -> Result<(), JsonError> {
    // Shorter ones on average are no business event, but take longer to read than they took to send.
    read(text, depth, (text.len() / 8).max(2 * MAX_VALUES))
}

fn read<'de, T: Tree<'de>>(text: &'de str, depth: usize, values: usize) -> Result<T, JsonError> {
    let (refused, most, values) = (Cell::new(None), values, Cell::new(values));
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let walk = Walk { depth, most, values: &values, refused: &refused, tree: PhantomData };
    walk.deserialize(&mut deserializer).and_then(|tree| deserializer.end().map(|()| tree)).map_err(|error| {
        refused.take().unwrap_or_else(|| JsonError::Syntax {
            line: error.line(),
            column: error.column(),
            problem: problem(&error),
        })
    })
}

/// The error's words without the place, which stands beside them.
fn problem(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(place) = text.rfind(" at line ") {
        text.truncate(place);
    }
    text
}

/// What a document is read into: a value, or nothing but the certainty that it could be.
trait Tree<'de>: Sized {
    type Members: Default;
    /// What an object counts beside the one that every value does.
    const OBJECT: usize;
    fn scalar(scalar: impl FnOnce() -> Value) -> Self;
    fn array(items: Vec<Self>) -> Self;
    fn object(members: Self::Members) -> Self;
    /// Whether the name is new among the members.
    fn add(members: &mut Self::Members, name: Cow<'de, str>, value: Self) -> bool;
}

impl Tree<'_> for Value {
    type Members = BTreeMap<Arc<str>, Self>;
    const OBJECT: usize = OBJECT;

    fn scalar(scalar: impl FnOnce() -> Value) -> Self {
        scalar()
    }

    fn array(items: Vec<Self>) -> Self {
        Value::Array(items)
    }

    fn object(members: BTreeMap<Arc<str>, Self>) -> Self {
        Value::Object(members)
    }

    fn add(members: &mut Self::Members, name: Cow<'_, str>, value: Self) -> bool {
        members.insert(name.into(), value).is_none()
    }
}

impl<'de> Tree<'de> for () {
    type Members = Names<'de>;
    const OBJECT: usize = 0;

    fn scalar(_scalar: impl FnOnce() -> Value) -> Self {}

    fn array(_items: Vec<Self>) -> Self {}

    fn object(_members: Names<'de>) -> Self {}

    fn add(members: &mut Names<'de>, name: Cow<'de, str>, _value: Self) -> bool {
        members.add(name)
    }
}

/// The names of an object's members. Most objects have few, which are compared one after the other faster than a tree is
/// built of them.
#[derive(Default)]
struct Names<'de> {
    first: Vec<Cow<'de, str>>,
    others: BTreeSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    const FIRST: usize = 16;

    /// Whether it is new.
    fn add(&mut self, name: Cow<'de, str>) -> bool {
        if self.first.contains(&name) {
            return false;
        }
        if self.first.len() == Self::FIRST {
            return self.others.insert(name);
        }
        self.first.push(name);
        true
    }
}

/// Reads one value that may nest `depth` deep. Its own refusals go to `refused`, because the parser's error type can
/// only carry words.
struct Walk<'e, T> {
    depth: usize,
    /// How many values there may be, and how many of them may still come.
    most: usize,
    values: &'e Cell<usize>,
    refused: &'e Cell<Option<JsonError>>,
    tree: PhantomData<T>,
}

impl<T> Walk<'_, T> {
    fn refuse<E: de::Error>(&self, why: JsonError) -> E {
        self.refused.set(Some(why));
        E::custom("refused")
    }

    fn spend<E: de::Error>(&self, values: usize) -> Result<(), E> {
        let left = self.values.get().checked_sub(values);
        self.values.set(left.ok_or_else(|| self.refuse(JsonError::TooManyValues(self.most)))?);
        Ok(())
    }

    fn inner<E: de::Error>(&self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..*self }),
            None => Err(self.refuse(JsonError::TooDeep)),
        }
    }
}

impl<'de, T: Tree<'de>> DeserializeSeed<'de> for Walk<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        self.spend(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Tree<'de>> Visitor<'de> for Walk<'_, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::scalar(|| Value::Null))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<T, E> {
        Ok(T::scalar(|| Value::Boolean(truth)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::scalar(|| Value::Integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::scalar(|| Value::from(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::scalar(|| Value::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::scalar(|| Value::Text(text.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<T, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self.inner()?)? {
            items.push(item);
        }
        Ok(T::array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        self.spend(T::OBJECT)?;
        let mut members = T::Members::default();
        let mut count = 0;
        let inner = self.inner()?;
        while let Some(key) = map.next_key_seed(KeyText)? {
            // The name is needed again only when the key turns out to stand twice; borrowed keys cost nothing.
            let name = key.clone();
            let value = map.next_value_seed(Walk { ..inner })?;
            if !T::add(&mut members, key, value) {
                return Err(self.refuse(JsonError::DuplicateKey(name.into_owned())));
            }
            count += 1;
            if count > MAX_MEMBERS {
                return Err(self.refuse(JsonError::TooManyMembers));
            }
        }
        Ok(T::object(members))
    }
}

/// A key, borrowed from the text where it has no escapes.
struct KeyText;

impl<'de> DeserializeSeed<'de> for KeyText {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyText {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), expected);
        assert_eq!(check(text).unwrap_err().to_string(), expected);
    }

    #[track_caller]
    fn quickly(text: &str, expected: &JsonError) {
        // The least of some, as a busy machine interrupts.
        let took = (0..5).map(|_| {
            let start = Instant::now();
            assert_eq!(parse(text).as_ref(), Err(expected));
            start.elapsed()
        });
        let took = took.min().unwrap();
        assert!(took < Duration::from_millis(10), "took {took:?}");
    }

    #[test]
    fn numbers_are_integers_where_i64_can_hold_them() {
        let value =
            parse("[0, -9223372036854775808, 9223372036854775807, 9223372036854775808, 1.0, 1e2]").unwrap();
        let floats = [Value::Float(9_223_372_036_854_775_808.0), Value::Float(1.0), Value::Float(100.0)];
        let integers = [0, i64::MIN, i64::MAX].map(Value::Integer);
        assert_eq!(value, Value::Array(integers.into_iter().chain(floats).collect()));
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        refused(r#"{"a": 1, "b": {"c": 1, "\u0063": 2}}"#, "key `c` appears twice in one object");
        let names: Vec<String> = (0..40).map(|number| format!("\"{number}\":0")).collect();
        for repeated in [0, 20, 39] {
            let text = format!("{{{},\"{repeated}\":1}}", names.join(","));
            refused(&text, &format!("key `{repeated}` appears twice in one object"));
        }
        refused("[NaN]", "line 1 column 2: expected value");
        refused("[1,\n 2,]", "line 2 column 4: trailing comma");
        refused("1e999", "line 1 column 5: number out of range");
        refused(r#""\ud800""#, "line 1 column 8: unexpected end of hex escape");
        refused("{} {}", "line 1 column 4: trailing characters");
        refused("", "line 1 column 0: EOF while parsing a value");
    }

    #[test]
    fn depth_has_one_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(check(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(check(&nested(MAX_DEPTH + 1)), Err(JsonError::TooDeep));
        assert!(check(&format!("{}1{}", "[".repeat(64), "]".repeat(64))).is_ok());
    }

    #[test]
    fn bombs_are_refused_quickly() {
        quickly(&"[".repeat(100_000), &JsonError::TooDeep);
        quickly(&"{\"a\":".repeat(100_000), &JsonError::TooDeep);
        let keys: Vec<String> = (0..1_000_000).map(|number| format!("\"{number}\":0")).collect();
        quickly(&format!("{{{}}}", keys.join(",")), &JsonError::TooManyMembers);
        let many = format!("[{}0]", "{\"a\":0},".repeat(MAX_VALUES / 4));
        assert_eq!(parse(&many), Err(JsonError::TooManyValues(MAX_VALUES)));
        assert_eq!(check(&many), Ok(()));
        let numbers = format!("[{}0]", "0,".repeat(500_000));
        assert_eq!(check(&numbers), Err(JsonError::TooManyValues(125_000)));
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_where_nothing_is_refused(text in "[\\[\\]{}:,\" a0-9.e+\\\\-]{0,24}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match parse(&text) {
                Ok(value) => prop_assert_eq!(value.to_json(), theirs.unwrap()),
                Err(JsonError::Syntax { .. }) => prop_assert!(theirs.is_err()),
                Err(_) => {}
            }
            prop_assert_eq!(check(&text), parse(&text).map(drop));
        }
    }
}
