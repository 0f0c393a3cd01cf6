//! Building events: the only way to a new one.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use thiserror::Error;

use super::{Attribute, Data, DecodeError, Event};

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
    /// Checks and encodes the event.
    ///
    /// # Errors
    /// [`BuildError`] names the attribute or the place in the data.
    pub fn build(self) -> Result<Event, BuildError> {
        todo!("{self:?}")
    }
}
