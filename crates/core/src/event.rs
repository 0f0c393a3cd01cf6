//! An event: an immutable fact in a CloudEvents envelope.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use chrono::{DateTime, Utc};
use thiserror::Error;

pub mod binding;
mod build;
mod decode;
mod json_format;

pub use build::{BuildError, EventBuilder};
pub use json_format::{FromJsonError, from_json_batch};

/// An immutable fact in a CloudEvents 1.0 envelope; `source` and `id` together identify it for ever.
///
/// Valid by construction: [`Event::decode`] and [`Event::builder`] are the only ways to one, and both check the
/// attributes the specification requires. Cloning copies a pointer. The data stays a slice of the bytes decoded.
#[derive(Debug, Clone)]
pub struct Event(Arc<Envelope>);

#[derive(Debug)]
struct Envelope {
    encoded: Bytes,
    id: Text,
    source: Text,
    kind: Text,
    attributes: Vec<(Text, Attribute)>,
    data: Data,
}

/// Text that shares the bytes of the envelope it was decoded from. Cloning copies a pointer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Text(ByteString);

/// The data of an event, undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// No data.
    None,
    /// `proto_data`: a message of a canonical or registered type.
    Proto {
        /// As in `google.protobuf.Any`, for example `type.googleapis.com/trunkline.commerce.v1.Order`.
        type_url: Text,
        /// The encoded message.
        value: Bytes,
    },
    /// `text_data`: JSON when the content type is JSON or absent, other text otherwise.
    Text(Text),
    /// `binary_data`.
    Binary(Bytes),
}

/// The value of a CloudEvents attribute other than the required ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// CloudEvents Boolean.
    Boolean(bool),
    /// CloudEvents Integer.
    Integer(i32),
    /// CloudEvents String.
    Text(Text),
    /// CloudEvents Binary.
    Binary(Bytes),
    /// CloudEvents URI.
    Uri(Text),
    /// CloudEvents URI-reference.
    UriReference(Text),
    /// CloudEvents Timestamp.
    Timestamp(DateTime<Utc>),
}

/// Why bytes are no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Not a protobuf message of the CloudEvents format.
    #[error("not a protobuf CloudEvent: {0}")]
    Malformed(&'static str),
    /// A required attribute is missing or empty.
    #[error("required attribute `{0}` is missing or empty")]
    Missing(&'static str),
    /// Another specification version than 1.0.
    #[error("specversion `{0}` is not 1.0")]
    Version(String),
    /// An attribute with a value that its name does not permit.
    #[error("attribute `{name}`: {problem}")]
    Attribute {
        /// The attribute.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Event {
    /// Decodes an event from the CloudEvents protobuf format. Only the envelope is checked; the data stays undecoded.
    ///
    /// # Errors
    /// [`DecodeError`] says which part is wrong. Never panics, whatever the bytes.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        decode::envelope(bytes).map(|envelope| Self(Arc::new(envelope)))
    }

    /// Starts building an event.
    pub fn builder(
        id: impl Into<String>,
        source: impl Into<String>,
        kind: impl Into<String>,
    ) -> EventBuilder {
        EventBuilder::new(id.into(), source.into(), kind.into())
    }

    /// The encoded event: the very bytes it was decoded from.
    pub fn encoded(&self) -> &Bytes {
        &self.0.encoded
    }

    /// CloudEvents `id`.
    pub fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// CloudEvents `source`; for an event of a configured source, its name.
    pub fn source(&self) -> &str {
        self.0.source.as_str()
    }

    /// CloudEvents `type`.
    pub fn kind(&self) -> &str {
        self.0.kind.as_str()
    }

    /// CloudEvents `subject`.
    pub fn subject(&self) -> Option<&str> {
        self.text_attribute("subject")
    }

    /// CloudEvents `time`.
    pub fn time(&self) -> Option<DateTime<Utc>> {
        match self.attribute("time") {
            Some(Attribute::Timestamp(time)) => Some(*time),
            _ => None,
        }
    }

    /// CloudEvents `datacontenttype`.
    pub fn content_type(&self) -> Option<&str> {
        self.text_attribute("datacontenttype")
    }

    /// The undecoded data.
    pub fn data(&self) -> &Data {
        &self.0.data
    }

    /// Whether the data is JSON text.
    pub fn is_json(&self) -> bool {
        matches!(self.0.data, Data::Text(_)) && self.content_type().is_none_or(is_json_type)
    }

    /// Any attribute but `id`, `source`, `specversion` and `type`, by its CloudEvents name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.0.attributes.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value)
    }

    /// Any attribute that is text, a URI or a URI-reference.
    pub fn text_attribute(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            Attribute::Text(text) | Attribute::Uri(text) | Attribute::UriReference(text) => {
                Some(text.as_str())
            }
            _ => None,
        }
    }

    /// The attributes besides `id`, `source`, `specversion` and `type`, in the order of their encoding.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.attributes.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The ordering key: `partitionkey`, else `source` and `id` joined by a zero byte.
    pub fn key(&self) -> Bytes {
        match self.attribute("partitionkey") {
            Some(Attribute::Text(text)) => text.bytes().clone(),
            _ => [self.source().as_bytes(), b"\0", self.id().as_bytes()].concat().into(),
        }
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.0.encoded == other.0.encoded
    }
}

impl Eq for Event {}

impl Text {
    /// Checks that the bytes are UTF-8.
    ///
    /// # Errors
    /// The bytes' own UTF-8 error.
    pub fn new(bytes: Bytes) -> Result<Self, std::str::Utf8Error> {
        ByteString::try_from(bytes).map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes behind the text, shared.
    pub fn bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// Whether a media type is JSON: `application/json`, `text/json` or a `+json` suffix, parameters ignored.
pub fn is_json_type(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence == "text/json" || essence.ends_with("+json")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
