//! The one value type that patterns, conditions, transforms and templates see.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

/// A value inside an event, independent of whether the event's data was protobuf or JSON.
///
/// Integers are `i64`. A JSON number with a fraction, an exponent, or outside `i64` is a [`Value::Float`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON `null`, or an absent optional protobuf field.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number that is no `i64`.
    Float(f64),
    /// Text, including protobuf enum values (by name).
    Text(Arc<str>),
    /// A protobuf `Timestamp`, or the event's `time`.
    Timestamp(DateTime<Utc>),
    /// Protobuf `bytes`.
    Bytes(Bytes),
    /// A list.
    Array(Vec<Value>),
    /// A map; keys in ascending order.
    Object(BTreeMap<Arc<str>, Value>),
}

impl Value {
    /// The member `name` of an object; `None` for everything else.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// The value at a path of member names from here.
    pub fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Option<&Value> {
        path.into_iter().try_fold(self, |value, name| value.get(name))
    }

    /// What kind of value this is, in the words of error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "boolean",
            Value::Integer(_) => "integer",
            Value::Float(_) => "float",
            Value::Text(_) => "text",
            Value::Timestamp(_) => "timestamp",
            Value::Bytes(_) => "bytes",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Boolean(truth)
    }
}
