//! The one value type that patterns, conditions, transforms and templates see.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::timestamp;

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

    /// The value as JSON: timestamps as RFC 3339, bytes as base64; a float that JSON has no number for as text (`NaN`,
    /// `Infinity`, `-Infinity`).
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Null => Json::Null,
            Value::Boolean(truth) => Json::Bool(*truth),
            Value::Integer(number) => Json::from(*number),
            Value::Float(number) => serde_json::Number::from_f64(*number)
                .map_or_else(|| Json::from(not_finite(*number)), Json::Number),
            Value::Text(text) => Json::from(&**text),
            Value::Timestamp(time) => Json::from(timestamp::to_rfc3339(*time)),
            Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)),
            Value::Array(items) => items.iter().map(Value::to_json).collect(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect()
            }
        }
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

/// As [`Value::to_json`].
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Boolean(truth) => serializer.serialize_bool(*truth),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            Value::Float(number) => serializer.serialize_str(not_finite(*number)),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Timestamp(time) => serializer.serialize_str(&timestamp::to_rfc3339(*time)),
            Value::Bytes(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
            Value::Array(items) => serializer.collect_seq(items),
            Value::Object(members) => serializer.collect_map(members),
        }
    }
}

/// The words of protobuf's JSON mapping.
fn not_finite(number: f64) -> &'static str {
    match number {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

impl From<u64> for Value {
    /// A float where no `i64` can hold it.
    #[expect(clippy::cast_precision_loss, reason = "beyond i64 a float is the nearest there is")]
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer)
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
