//! A protobuf message as a [`Value`].

use std::collections::BTreeMap;
use std::sync::Arc;

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, ReflectMessage, Value as Proto,
};

use super::scan;
use crate::json::{self, MAX_DEPTH};
use crate::timestamp;
use crate::types::TypeCatalogue;
use crate::value::Value;

/// Every field of a message is shown, also one that takes no byte on the wire; so a megabyte of empty messages could
/// become a gigabyte of values, were there no limit.
const MAX_VALUES: usize = json::MAX_VALUES;

/// Converts one message, with a budget for all of it.
pub(super) struct Converter<'a> {
    catalogue: &'a TypeCatalogue,
    values_left: usize,
}

type Members = BTreeMap<Arc<str>, Value>;

/// What is wrong with the message, in the words of an error.
type Problem = &'static str;

pub(super) const TOO_MANY: Problem = "it has more than 50000 values";
const NO_TIME: Problem = "a Timestamp is outside the years 1 to 9999";

impl<'a> Converter<'a> {
    pub(super) fn new(catalogue: &'a TypeCatalogue) -> Self {
        Self { catalogue, values_left: MAX_VALUES }
    }

    /// The message as a value; well-known types as what they stand for.
    pub(super) fn message(&mut self, message: &DynamicMessage, depth: usize) -> Result<Value, Problem> {
        let depth = depth + 1;
        if depth > MAX_DEPTH {
            return Err("nested deeper than 64");
        }
        let descriptor = message.descriptor();
        match descriptor.full_name() {
            "google.protobuf.Timestamp" => {
                let (seconds, nanos) = seconds_and_nanos(message);
                timestamp::from_parts(seconds, nanos).map(Value::Timestamp).ok_or(NO_TIME)
            }
            "google.protobuf.Duration" => {
                let (seconds, nanos) = seconds_and_nanos(message);
                Ok(Value::from(&*duration_text(seconds, nanos)))
            }
            "google.protobuf.Any" => self.any(message, depth),
            "google.protobuf.Struct" => self.part(message, "fields", depth),
            "google.protobuf.ListValue" => self.part(message, "values", depth),
            "google.protobuf.Value" => match message.fields().next() {
                Some((field, Proto::EnumNumber(_))) if field.name() == "null_value" => Ok(Value::Null),
                Some((field, value)) => Ok(whole(self.field(&field, value, depth)?)),
                None => Ok(Value::Null),
            },
            "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.BoolValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue" => self.part(message, "value", depth),
            _ => self.members(message, depth).map(Value::Object),
        }
    }

    fn members(&mut self, message: &DynamicMessage, depth: usize) -> Result<Members, Problem> {
        self.spend(json::OBJECT)?;
        let mut members = Members::new();
        for field in message.descriptor().fields() {
            let value = if field.supports_presence() && !message.has_field(&field) {
                self.spend(1)?;
                Value::Null
            } else {
                self.field(&field, &message.get_field(&field), depth)?
            };
            members.insert(field.name().into(), value);
        }
        Ok(members)
    }

    /// The one field of a well-known type that stands for the whole.
    fn part(&mut self, message: &DynamicMessage, name: &str, depth: usize) -> Result<Value, Problem> {
        match message.descriptor().get_field_by_name(name) {
            Some(field) => self.field(&field, &message.get_field(&field), depth),
            None => Err("a well-known type has other fields than it should"),
        }
    }

    fn field(&mut self, field: &FieldDescriptor, value: &Proto, depth: usize) -> Result<Value, Problem> {
        match value {
            Proto::List(items) => {
                self.spend(1)?;
                items
                    .iter()
                    .map(|item| self.single(&field.kind(), item, depth))
                    .collect::<Result<_, _>>()
                    .map(Value::Array)
            }
            Proto::Map(entries) => {
                self.spend(1)?;
                let Kind::Message(entry) = field.kind() else {
                    return Err("a map without entries");
                };
                let kind = entry.map_entry_value_field().kind();
                let convert =
                    |(key, value): (&MapKey, &Proto)| Ok((key_text(key), self.single(&kind, value, depth)?));
                entries.iter().map(convert).collect::<Result<_, _>>().map(Value::Object)
            }
            value => self.single(&field.kind(), value, depth),
        }
    }

    fn single(&mut self, kind: &Kind, value: &Proto, depth: usize) -> Result<Value, Problem> {
        self.spend(1)?;
        Ok(match value {
            Proto::Bool(truth) => Value::Boolean(*truth),
            Proto::I32(number) => Value::Integer((*number).into()),
            Proto::I64(number) => Value::Integer(*number),
            Proto::U32(number) => Value::Integer((*number).into()),
            Proto::U64(number) => Value::from(*number),
            Proto::F32(number) => Value::Float((*number).into()),
            Proto::F64(number) => Value::Float(*number),
            Proto::String(text) => Value::from(&**text),
            Proto::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Proto::EnumNumber(number) => match kind {
                Kind::Enum(descriptor) => Value::Text(enum_name(descriptor, *number)),
                _ => Value::Integer((*number).into()),
            },
            Proto::Message(message) => self.message(message, depth)?,
            Proto::List(_) | Proto::Map(_) => return Err("a list inside a list"),
        })
    }

    fn any(&mut self, message: &DynamicMessage, depth: usize) -> Result<Value, Problem> {
        let text = |name| match message.get_field_by_name(name).as_deref() {
            Some(Proto::String(text)) => text.clone(),
            _ => String::new(),
        };
        let bytes = match message.get_field_by_name("value").as_deref() {
            Some(Proto::Bytes(bytes)) => bytes.clone(),
            _ => bytes::Bytes::new(),
        };
        let type_url = text("type_url");
        let mut members = match self.catalogue.find(&type_url) {
            None => Members::from([("value".into(), Value::Bytes(bytes))]),
            Some(descriptor) => {
                if !scan::is_small(&descriptor, &bytes) {
                    return Err(TOO_MANY);
                }
                let inner = DynamicMessage::decode(descriptor, bytes)
                    .map_err(|_cause| "an Any does not decode as its type")?;
                match self.message(&inner, depth)? {
                    Value::Object(members) => members,
                    value => Members::from([("value".into(), value)]),
                }
            }
        };
        members.insert("@type".into(), Value::from(&*type_url));
        Ok(Value::Object(members))
    }

    fn spend(&mut self, values: usize) -> Result<(), Problem> {
        self.values_left = self.values_left.checked_sub(values).ok_or(TOO_MANY)?;
        Ok(())
    }
}

fn seconds_and_nanos(message: &DynamicMessage) -> (i64, i32) {
    let seconds = message.get_field_by_name("seconds").and_then(|value| value.as_i64());
    let nanos = message.get_field_by_name("nanos").and_then(|value| value.as_i32());
    (seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// As in protobuf's JSON mapping: seconds with up to nine digits after the point, and `s`.
fn duration_text(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    let fraction = match format!(".{nanos:09}").trim_end_matches('0') {
        "." => String::new(),
        fraction => fraction.to_owned(),
    };
    format!("{sign}{seconds}{fraction}s")
}

/// `Struct` knows only floats; a whole number in it is an integer, as it would be had it come as JSON.
#[expect(clippy::cast_possible_truncation, reason = "whole numbers below 2^53 lose nothing")]
fn whole(value: Value) -> Value {
    match value {
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
            Value::Integer(number as i64)
        }
        value => value,
    }
}

fn key_text(key: &MapKey) -> Arc<str> {
    match key {
        MapKey::Bool(truth) => truth.to_string().into(),
        MapKey::I32(number) => number.to_string().into(),
        MapKey::I64(number) => number.to_string().into(),
        MapKey::U32(number) => number.to_string().into(),
        MapKey::U64(number) => number.to_string().into(),
        MapKey::String(text) => text.as_str().into(),
    }
}

/// The value's name without the prefix that the style guide of protobuf asks for: `FINANCIAL_STATUS_PAID` of
/// `FinancialStatus` is `PAID`. A number without a name is its digits.
pub(crate) fn enum_name(descriptor: &EnumDescriptor, number: i32) -> Arc<str> {
    match descriptor.get_value(number) {
        None => number.to_string().into(),
        Some(value) => strip_prefix(descriptor.name(), value.name()).into(),
    }
}

fn strip_prefix<'a>(enum_name: &str, value: &'a str) -> &'a str {
    let mut rest = value;
    for (index, letter) in enum_name.char_indices() {
        if index > 0 && letter.is_ascii_uppercase() {
            // A word begins, which SCREAMING_SNAKE_CASE sets off; not so inside an abbreviation such as `URL`.
            rest = rest.strip_prefix('_').unwrap_or(rest);
        }
        match rest.strip_prefix(letter.to_ascii_uppercase()) {
            Some(shorter) => rest = shorter,
            None => return value,
        }
    }
    rest.strip_prefix('_').filter(|rest| !rest.is_empty()).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enum_values_lose_their_types_prefix() {
        assert_eq!(strip_prefix("FinancialStatus", "FINANCIAL_STATUS_PAID"), "PAID");
        assert_eq!(strip_prefix("FinancialStatus", "FINANCIAL_STATUS_PARTIALLY_PAID"), "PARTIALLY_PAID");
        assert_eq!(strip_prefix("URLKind", "URL_KIND_HTTP"), "HTTP");
        assert_eq!(strip_prefix("Kind", "KINDNESS"), "KINDNESS");
        assert_eq!(strip_prefix("Kind", "OTHER"), "OTHER");
        assert_eq!(strip_prefix("Kind", "KIND_"), "KIND_");
    }

    #[test]
    fn durations_read_as_in_protobufs_json() {
        assert_eq!(duration_text(3, 500_000_000), "3.5s");
        assert_eq!(duration_text(0, -1), "-0.000000001s");
        assert_eq!(duration_text(i64::MIN, 0), "-9223372036854775808s");
        assert_eq!(duration_text(60, 0), "60s");
    }
}
