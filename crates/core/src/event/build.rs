//! Building events: the only way to a new one.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message;
use prost::encoding::{self, WireType, encode_key, encode_varint};
use thiserror::Error;

use super::{Attribute, Data, DecodeError, Event};
use crate::timestamp;

/// Why an event can't be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The envelope breaks a rule of the CloudEvents specification.
    #[error(transparent)]
    Envelope(#[from] DecodeError),
    /// The JSON data is not acceptable (depth, duplicate keys, syntax).
    #[error("data: {0}")]
    Json(#[from] crate::json::JsonError),
}

/// Collects an event's attributes and data; [`EventBuilder::build`] checks them all.
#[derive(Debug, Clone)]
pub struct EventBuilder {
    id: String,
    source: String,
    kind: String,
    attributes: Vec<(String, Attribute)>,
    data: Data,
}

impl EventBuilder {
    pub(super) fn new(id: String, source: String, kind: String) -> Self {
        Self { id, source, kind, attributes: Vec::new(), data: Data::None }
    }

    /// Sets any attribute besides the required ones; a later value replaces an earlier one.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: Attribute) -> Self {
        let name = name.into();
        self.attributes.retain(|(existing, _)| *existing != name);
        self.attributes.push((name, value));
        self
    }

    /// Sets CloudEvents `time`.
    #[must_use]
    pub fn time(self, time: DateTime<Utc>) -> Self {
        self.attribute("time", Attribute::Timestamp(time))
    }

    /// Sets CloudEvents `subject`.
    #[must_use]
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.attribute("subject", Attribute::Text(subject.into().into()))
    }

    /// Sets the ordering key (`partitionkey`).
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        self.attribute("partitionkey", Attribute::Text(key.into().into()))
    }

    /// Sets the data to a protobuf message, `dataschema` and content type left alone.
    #[must_use]
    pub fn proto<M: prost::Message + prost::Name>(self, message: &M) -> Self {
        let type_url = format!("type.googleapis.com/{}", M::full_name());
        self.data(Data::Proto { type_url: type_url.into(), value: message.encode_to_vec().into() })
    }

    /// Sets the data to JSON text and the content type to `application/json`. The text is checked by `build`.
    #[must_use]
    pub fn json(self, text: impl Into<String>) -> Self {
        self.attribute("datacontenttype", Attribute::Text("application/json".to_owned().into()))
            .data(Data::Text(text.into().into()))
    }

    /// Sets the data and its content type.
    #[must_use]
    pub fn binary(self, content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        self.attribute("datacontenttype", Attribute::Text(content_type.into().into()))
            .data(Data::Binary(bytes.into()))
    }

    /// Sets the data as it is.
    #[must_use]
    pub fn data(mut self, data: Data) -> Self {
        self.data = data;
        self
    }
}

impl EventBuilder {
    /// Checks and encodes the event. The same parts give the same bytes, in whatever order they were set.
    ///
    /// # Errors
    /// [`BuildError`] names the attribute or the place in the data.
    pub fn build(self) -> Result<Event, BuildError> {
        let encoded = self.encode();
        // One set of rules for events that come in and events that are made here: those of decoding.
        let event = Event::decode(encoded)?;
        if let (true, Data::Text(text)) = (event.is_json(), event.data()) {
            crate::json::check(text.as_str())?;
        }
        Ok(event)
    }

    pub(super) fn encode(mut self) -> Bytes {
        self.attributes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let mut buffer = Vec::with_capacity(self.length_bound());
        put(1, self.id.as_bytes(), &mut buffer);
        put(2, self.source.as_bytes(), &mut buffer);
        put(3, b"1.0", &mut buffer);
        put(4, self.kind.as_bytes(), &mut buffer);
        let (mut entry, mut inner) = (Vec::with_capacity(128), Vec::with_capacity(96));
        for (name, value) in &self.attributes {
            inner.clear();
            put_value(value, &mut inner);
            entry.clear();
            put(1, name.as_bytes(), &mut entry);
            put(2, &inner, &mut entry);
            put(5, &entry, &mut buffer);
        }
        match &self.data {
            Data::None => {}
            Data::Binary(bytes) => put(6, bytes, &mut buffer),
            Data::Text(text) => put(7, text.bytes(), &mut buffer),
            Data::Proto { type_url, value } => {
                let length = 22 + type_url.bytes().len() + value.len();
                let mut any = Vec::with_capacity(length);
                put(1, type_url.bytes(), &mut any);
                // As generated encoders do, so that everybody's bytes are the same.
                if !value.is_empty() {
                    put(2, value, &mut any);
                }
                put(8, &any, &mut buffer);
            }
        }
        buffer.into()
    }

    fn length_bound(&self) -> usize {
        let data = match &self.data {
            Data::None => 0,
            Data::Binary(bytes) => bytes.len(),
            Data::Text(text) => text.bytes().len(),
            Data::Proto { type_url, value } => type_url.bytes().len() + value.len(),
        };
        self.id.len() + self.source.len() + self.kind.len() + data + 64 * (self.attributes.len() + 2)
    }
}

impl Event {
    /// The same event with one more attribute, which is text; one of that name is replaced. Nothing of what came is
    /// encoded anew: the attribute follows it, as parts of one message may.
    ///
    /// # Errors
    /// [`DecodeError::Attribute`] when the name or the value is not permitted.
    pub fn with_text(&self, name: &str, value: &str) -> Result<Self, DecodeError> {
        let mut entry = Vec::with_capacity(name.len() + value.len() + 16);
        put(1, name.as_bytes(), &mut entry);
        let mut inner = Vec::with_capacity(value.len() + 8);
        put_value(&Attribute::Text(value.into()), &mut inner);
        put(2, &inner, &mut entry);
        let mut encoded = Vec::with_capacity(self.encoded().len() + entry.len() + 8);
        encoded.extend_from_slice(self.encoded());
        put(5, &entry, &mut encoded);
        Self::decode(encoded.into())
    }
}

/// Appends a length-delimited field.
fn put(tag: u32, bytes: &[u8], buffer: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, buffer);
    encode_varint(bytes.len() as u64, buffer);
    buffer.extend_from_slice(bytes);
}

fn put_value(value: &Attribute, buffer: &mut Vec<u8>) {
    match value {
        Attribute::Boolean(truth) => encoding::bool::encode(1, truth, buffer),
        Attribute::Integer(number) => encoding::int32::encode(2, number, buffer),
        Attribute::Text(text) => put(3, text.bytes(), buffer),
        Attribute::Binary(bytes) => put(4, bytes, buffer),
        Attribute::Uri(text) => put(5, text.bytes(), buffer),
        Attribute::UriReference(text) => put(6, text.bytes(), buffer),
        Attribute::Timestamp(time) => put(7, &timestamp::to_proto(*time).encode_to_vec(), buffer),
    }
}
