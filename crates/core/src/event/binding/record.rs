//! Records that other publishers put straight on `events`.

use bytes::Bytes;

use super::{BinaryMode, BindingError, Form, from_protobuf};
use crate::event::Event;

/// What the names of attributes' headers begin with, by the Kafka protocol binding.
const PREFIX: &str = "ce_";

/// Reads a record by the Kafka protocol binding of CloudEvents 1.0, in structured mode (JSON, protobuf) or binary mode. One
/// without a content type and without attributes in headers is read as protobuf.
///
/// Attributes are looked for as `ce_` and their name in lower case; values are UTF-8. A record's key that is text becomes the event's
/// `partitionkey` where the event has none.
///
/// # Errors
/// [`BindingError`] says what is wrong. Never panics, whatever the bytes.
pub fn from_record(headers: &[(String, Bytes)], key: &[u8], value: Bytes) -> Result<Event, BindingError> {
    if let Some(encoding) = text(headers, "content-encoding")?.filter(|encoding| *encoding != "identity") {
        return Err(BindingError::Encoding(encoding.to_owned()));
    }
    let content_type = text(headers, "content-type")?;
    let event = match Form::of(content_type)? {
        Form::Json => Event::from_json(&value)?,
        Form::Protobuf => from_protobuf(value)?,
        Form::JsonBatch | Form::ProtobufBatch => return Err(BindingError::Batch),
        Form::Binary => {
            let mut binary = BinaryMode::new(PREFIX);
            for (name, value) in headers {
                if let Some(attribute) = name.strip_prefix(PREFIX) {
                    binary.add(attribute, utf8(name, value)?.to_owned())?;
                }
            }
            match content_type {
                None if binary.is_empty() => from_protobuf(value)?,
                content_type => binary.event(content_type, value)?,
            }
        }
    };
    Ok(keyed(event, key))
}

/// A header that may occur once; an empty one counts as left out.
fn text<'a>(headers: &'a [(String, Bytes)], name: &str) -> Result<Option<&'a str>, BindingError> {
    let mut found = headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let Some((_, value)) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        let header = name.to_owned();
        return Err(BindingError::Header { header, problem: "occurs more than once" });
    }
    Ok(Some(utf8(name, value)?).filter(|value| !value.is_empty()))
}

fn utf8<'a>(name: &str, value: &'a Bytes) -> Result<&'a str, BindingError> {
    std::str::from_utf8(value)
        .map_err(|_cause| BindingError::Header { header: name.to_owned(), problem: "is not UTF-8" })
}

/// The event with the record's key as its `partitionkey`, where it has none and the key can be one: what other publishers
/// call a key may be a number or anything else.
fn keyed(event: Event, key: &[u8]) -> Event {
    if key.is_empty() || event.attribute("partitionkey").is_some() {
        return event;
    }
    let key = std::str::from_utf8(key).ok();
    key.and_then(|key| event.with_text("partitionkey", key).ok()).unwrap_or(event)
}
