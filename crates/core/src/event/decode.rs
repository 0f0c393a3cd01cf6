//! Decoding an envelope without copying its data.
//!
//! Written by hand because the generated type copies every text: here id, attributes and data are slices of the record.
//! The rules of protobuf hold: unknown fields are skipped, of a singular field given twice the last one counts, and
//! parts of one message are merged.

use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::{Attribute, Data, DecodeError, Envelope, Text};
use crate::timestamp;

/// More attributes than any event has; it keeps a hostile envelope from costing more than its length.
const MAX_ATTRIBUTES: usize = 128;

/// A field's value may be a number, a length with its bytes, or something only unknown fields have.
enum Field {
    Number(u64),
    Bytes(Bytes),
    Other,
}

/// An attribute's value while its parts may still be merged.
#[derive(Clone)]
enum RawAttribute {
    Plain(Attribute),
    Timestamp { seconds: i64, nanos: i32 },
}

pub(super) fn envelope(encoded: Bytes) -> Result<Envelope, DecodeError> {
    let (mut id, mut source, mut version, mut kind) = (None, None, None, None);
    let mut raw: Vec<(Text, Option<RawAttribute>)> = Vec::new();
    let mut data = Data::None;
    each_field(encoded.clone(), |number, field| {
        match (number, field) {
            (1, field) => id = Some(text(field)?),
            (2, field) => source = Some(text(field)?),
            (3, field) => version = Some(text(field)?),
            (4, field) => kind = Some(text(field)?),
            (5, field) => {
                let (name, value) = map_entry(slice(field)?)?;
                match raw.iter().position(|(existing, _)| *existing == name) {
                    Some(position) => raw[position].1 = value,
                    None if raw.len() == MAX_ATTRIBUTES => {
                        return Err(DecodeError::Malformed("more than 128 attributes"));
                    }
                    None => raw.push((name, value)),
                }
            }
            (6, field) => data = Data::Binary(slice(field)?),
            (7, field) => data = Data::Text(text(field)?),
            (8, field) => data = any(slice(field)?, std::mem::replace(&mut data, Data::None))?,
            _ => {}
        }
        Ok(())
    })?;
    let id = required("id", id)?;
    let source = required("source", source)?;
    let version = required("specversion", version)?;
    if version.as_str() != "1.0" {
        return Err(DecodeError::Version(version.as_str().to_owned()));
    }
    let kind = required("type", kind)?;
    if matches!(&data, Data::Proto { type_url, .. } if type_url.as_str().is_empty()) {
        return Err(DecodeError::Malformed("proto_data without a type_url"));
    }
    let attributes = raw.into_iter().map(|(name, value)| attribute(name, value)).collect::<Result<_, _>>()?;
    Ok(Envelope { encoded, id, source, kind, attributes, data })
}

fn required(name: &'static str, text: Option<Text>) -> Result<Text, DecodeError> {
    let text = text.filter(|text| !text.as_str().is_empty()).ok_or(DecodeError::Missing(name))?;
    if has_control_character(text.as_str()) {
        return Err(problem(name, CONTROL));
    }
    Ok(text)
}

/// Calls `take` for every field of a message. Groups, which only unknown fields can be, nest as deep as prost permits.
fn each_field(
    mut message: Bytes,
    mut take: impl FnMut(u32, Field) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    while !message.is_empty() {
        let (number, wire_type) =
            decode_key(&mut message).map_err(|_cause| DecodeError::Malformed("invalid key"))?;
        let field = match wire_type {
            WireType::Varint => Field::Number(varint(&mut message)?),
            WireType::LengthDelimited => {
                let length = usize::try_from(varint(&mut message)?).unwrap_or(usize::MAX);
                if length > message.len() {
                    return Err(DecodeError::Malformed("a field ends after the message"));
                }
                Field::Bytes(message.split_to(length))
            }
            _ => {
                skip_field(wire_type, number, &mut message, DecodeContext::default())
                    .map_err(|_cause| DecodeError::Malformed("invalid field"))?;
                Field::Other
            }
        };
        take(number, field)?;
    }
    Ok(())
}

fn varint(message: &mut Bytes) -> Result<u64, DecodeError> {
    decode_varint(message).map_err(|_cause| DecodeError::Malformed("invalid varint"))
}

fn slice(field: Field) -> Result<Bytes, DecodeError> {
    match field {
        Field::Bytes(bytes) => Ok(bytes),
        _ => Err(DecodeError::Malformed("a field has another type than its number says")),
    }
}

fn number(field: Field) -> Result<u64, DecodeError> {
    match field {
        Field::Number(number) => Ok(number),
        _ => Err(DecodeError::Malformed("a field has another type than its number says")),
    }
}

fn text(field: Field) -> Result<Text, DecodeError> {
    Text::new(slice(field)?).map_err(|_cause| DecodeError::Malformed("text is not UTF-8"))
}

fn map_entry(entry: Bytes) -> Result<(Text, Option<RawAttribute>), DecodeError> {
    let mut name = Text::from(String::new());
    let mut value = None;
    each_field(entry, |number, field| {
        match number {
            1 => name = text(field)?,
            2 => value = attribute_value(slice(field)?, value.take())?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, value))
}

/// Decodes a `CloudEventAttributeValue` on top of what an earlier part of the same value said.
fn attribute_value(
    message: Bytes,
    mut value: Option<RawAttribute>,
) -> Result<Option<RawAttribute>, DecodeError> {
    each_field(message, |tag, field| {
        value = Some(match tag {
            1 => RawAttribute::Plain(Attribute::Boolean(number(field)? != 0)),
            #[expect(clippy::cast_possible_truncation, reason = "protobuf cuts an int32 to its low 32 bits")]
            2 => RawAttribute::Plain(Attribute::Integer(number(field)? as i32)),
            3 => RawAttribute::Plain(Attribute::Text(text(field)?)),
            4 => RawAttribute::Plain(Attribute::Binary(slice(field)?)),
            5 => RawAttribute::Plain(Attribute::Uri(text(field)?)),
            6 => RawAttribute::Plain(Attribute::UriReference(text(field)?)),
            7 => merge_timestamp(slice(field)?, value.take())?,
            _ => return Ok(()),
        });
        Ok(())
    })?;
    Ok(value)
}

fn merge_timestamp(message: Bytes, earlier: Option<RawAttribute>) -> Result<RawAttribute, DecodeError> {
    let (mut seconds, mut nanos) = match earlier {
        Some(RawAttribute::Timestamp { seconds, nanos }) => (seconds, nanos),
        _ => (0, 0),
    };
    each_field(message, |tag, field| {
        match tag {
            1 => seconds = number(field)?.cast_signed(),
            #[expect(clippy::cast_possible_truncation, reason = "protobuf cuts an int32 to its low 32 bits")]
            2 => nanos = number(field)? as i32,
            _ => {}
        }
        Ok(())
    })?;
    Ok(RawAttribute::Timestamp { seconds, nanos })
}

fn any(message: Bytes, earlier: Data) -> Result<Data, DecodeError> {
    let (mut type_url, mut value) = match earlier {
        Data::Proto { type_url, value } => (type_url, value),
        _ => (Text::from(String::new()), Bytes::new()),
    };
    each_field(message, |number, field| {
        match number {
            1 => type_url = text(field)?,
            2 => value = slice(field)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Data::Proto { type_url, value })
}

const CONTROL: &str = "has a control character, which CloudEvents forbids";

fn attribute(name: Text, value: Option<RawAttribute>) -> Result<(Text, Attribute), DecodeError> {
    check_name(name.as_str())?;
    let value = match value {
        Some(RawAttribute::Plain(value)) => value,
        Some(RawAttribute::Timestamp { seconds, nanos }) => Attribute::Timestamp(
            timestamp::from_parts(seconds, nanos)
                .ok_or_else(|| problem(name.as_str(), "is no valid time"))?,
        ),
        None => return Err(problem(name.as_str(), "has no value of a known type")),
    };
    let value = check_value(name.as_str(), value)?;
    Ok((name, value))
}

fn check_name(name: &str) -> Result<(), DecodeError> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(problem(name, "a name is made of a-z and 0-9"));
    }
    if matches!(name, "id" | "source" | "specversion" | "type" | "data") {
        return Err(problem(name, "is not the name of an optional attribute or extension"));
    }
    Ok(())
}

/// What the specification says about the values of the attributes it defines, and about text in all of them.
fn check_value(name: &str, value: Attribute) -> Result<Attribute, DecodeError> {
    match (name, value) {
        // Some SDKs encode every attribute as text.
        ("time", Attribute::Text(text)) => timestamp::from_rfc3339(text.as_str())
            .map(Attribute::Timestamp)
            .ok_or_else(|| problem(name, "is no RFC 3339 time")),
        ("time", value @ Attribute::Timestamp(_)) => Ok(value),
        ("time", _) => Err(problem(name, "must be a time")),
        (_, value) => {
            let text = match &value {
                Attribute::Text(text) | Attribute::Uri(text) | Attribute::UriReference(text) => Some(text),
                _ => None,
            };
            if text.is_some_and(|text| has_control_character(text.as_str())) {
                return Err(problem(name, CONTROL));
            }
            let must_be_text = matches!(name, "subject" | "datacontenttype" | "dataschema" | "partitionkey");
            if must_be_text && text.is_none_or(|text| text.as_str().is_empty()) {
                return Err(problem(name, "must be text that is not empty"));
            }
            Ok(value)
        }
    }
}

fn has_control_character(text: &str) -> bool {
    // Nearly all texts are printable ASCII, which needs no decoding of characters.
    !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.chars().any(char::is_control)
}

fn problem(name: &str, problem: &'static str) -> DecodeError {
    DecodeError::Attribute { name: name.to_owned(), problem }
}
