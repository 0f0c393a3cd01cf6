//! The CloudEvents JSON event format, in and out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use thiserror::Error;

use super::{Attribute, Data, DecodeError, Event, EventBuilder, is_json_type};
use crate::json::{self, JsonError, MAX_DEPTH};
use crate::timestamp;
use crate::types::TypeCatalogue;
use crate::view::{EventView, ViewError};

/// Why JSON text is no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FromJsonError {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8(#[from] std::str::Utf8Error),
    /// Not JSON, or JSON that [`crate::json`] refuses.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but not of the outer form.
    #[error("not {0}")]
    NotA(&'static str),
    /// A member whose value its name does not permit.
    #[error("`{name}` {problem}")]
    Member {
        /// The member.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The attributes break a rule of the CloudEvents specification.
    #[error(transparent)]
    Envelope(#[from] DecodeError),
    /// One event of a batch.
    #[error("event {index} of the batch")]
    InBatch {
        /// From 0.
        index: usize,
        /// Why it is none.
        #[source]
        cause: Box<FromJsonError>,
    },
}

impl Event {
    /// Reads an event in structured JSON (`application/cloudevents+json`).
    ///
    /// JSON data is kept as the very text it came in, so that no digit of a number is lost. A member that is `null`
    /// counts as left out. Numbers in attributes must be whole and of 32 bits.
    ///
    /// # Errors
    /// [`FromJsonError`] names the member. Never panics, whatever the bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, FromJsonError> {
        let text = std::str::from_utf8(bytes)?;
        // The envelope adds one level to the data's.
        json::check_to(text, MAX_DEPTH + 1)?;
        event(text)
    }

    /// The event in structured JSON (`application/cloudevents+json`). Protobuf data becomes JSON with the field names
    /// of its .proto, as [`EventView`] shows it, and `datacontenttype` says so; binary data becomes `data_base64`.
    ///
    /// # Errors
    /// [`ViewError`] when there is protobuf data of an unknown type, or JSON data that is none.
    pub fn to_json(&self, catalogue: &TypeCatalogue) -> Result<Vec<u8>, ViewError> {
        let mut object = Object(Vec::with_capacity(self.encoded().len() + 256));
        object.member("specversion", "1.0");
        object.member("id", self.id());
        object.member("source", self.source());
        object.member("type", self.kind());
        let is_proto = matches!(self.data(), Data::Proto { .. });
        for (name, value) in self.attributes().filter(|(name, _)| !(is_proto && *name == "datacontenttype")) {
            match value {
                Attribute::Boolean(truth) => object.member(name, truth),
                Attribute::Integer(number) => object.member(name, number),
                Attribute::Text(text) | Attribute::Uri(text) | Attribute::UriReference(text) => {
                    object.member(name, text.as_str());
                }
                Attribute::Binary(bytes) => object.member(name, &STANDARD.encode(bytes)),
                Attribute::Timestamp(time) => object.member(name, &timestamp::to_rfc3339(*time)),
            }
        }
        match self.data() {
            Data::None => {}
            Data::Binary(bytes) => object.member("data_base64", &STANDARD.encode(bytes)),
            Data::Text(text) if self.is_json() => {
                json::check(text.as_str())?;
                object.raw_member("data", text.as_str());
            }
            Data::Text(text) => object.member("data", text.as_str()),
            Data::Proto { .. } => {
                object.member("datacontenttype", "application/json");
                let view = EventView::new(self, catalogue);
                object.member("data", &view.data().map_err(Clone::clone)?);
            }
        }
        Ok(object.finish())
    }
}

/// Reads a batch of events in JSON (`application/cloudevents-batch+json`): a list, which may be empty.
///
/// # Errors
/// As [`Event::from_json`]; of a batch with a bad event none is returned.
pub fn from_json_batch(bytes: &[u8]) -> Result<Vec<Event>, FromJsonError> {
    let text = std::str::from_utf8(bytes)?;
    json::check_to(text, MAX_DEPTH + 2)?;
    let events: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|_cause| FromJsonError::NotA("a list of events"))?;
    let in_batch = |index| move |cause| FromJsonError::InBatch { index, cause: Box::new(cause) };
    events.iter().enumerate().map(|(index, raw)| event(raw.get()).map_err(in_batch(index))).collect()
}

/// Reads one event from JSON text that was checked already.
fn event(text: &str) -> Result<Event, FromJsonError> {
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(text).map_err(|_cause| FromJsonError::NotA("an object"))?;
    members.retain(|_, raw| raw.get() != "null");
    let mut required = |name: &'static str| {
        let raw = members.remove(name).ok_or(DecodeError::Missing(name))?;
        string(name, raw)
    };
    let version = required("specversion")?;
    if version != "1.0" {
        return Err(DecodeError::Version(version).into());
    }
    let builder = EventBuilder::new(required("id")?, required("source")?, required("type")?);
    let (data, base64) = (members.remove("data"), members.remove("data_base64"));
    let is_json = match members.get("datacontenttype") {
        Some(raw) => is_json_type(&string("datacontenttype", raw)?),
        None => true,
    };
    let data = match (data, base64) {
        (None, None) => Data::None,
        (Some(_), Some(_)) => return Err(problem("data_base64", "cannot stand beside `data`")),
        (Some(raw), None) if is_json => Data::Text(raw.get().into()),
        (Some(raw), None) => Data::Text(string("data", raw)?.into()),
        (None, Some(raw)) => {
            let bytes = STANDARD.decode(string("data_base64", raw)?);
            Data::Binary(bytes.map_err(|_cause| problem("data_base64", "is no base64"))?.into())
        }
    };
    let builder = members.iter().try_fold(builder.data(data), |builder, (name, raw)| {
        Ok::<_, FromJsonError>(builder.attribute(&**name, attribute(name, raw)?))
    })?;
    // The data was checked with the whole text, so the builder need not do it again.
    Ok(Event::decode(builder.encode())?)
}

fn attribute(name: &str, raw: &RawValue) -> Result<Attribute, FromJsonError> {
    let attribute = match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text = string(name, raw)?;
            match name {
                "dataschema" => Attribute::Uri(text.into()),
                _ => Attribute::Text(text.into()),
            }
        }
        Some(b't') => Attribute::Boolean(true),
        Some(b'f') => Attribute::Boolean(false),
        Some(b'{' | b'[') => return Err(problem(name, "must be text, a whole number or a truth value")),
        _ => {
            let number = raw.get().parse();
            Attribute::Integer(number.map_err(|_cause| problem(name, "is no whole number of 32 bits"))?)
        }
    };
    Ok(attribute)
}

fn string(name: &str, raw: &RawValue) -> Result<String, FromJsonError> {
    serde_json::from_str(raw.get()).map_err(|_cause| problem(name, "must be text"))
}

fn problem(name: &str, problem: &'static str) -> FromJsonError {
    FromJsonError::Member { name: name.to_owned(), problem }
}

/// A JSON object while it is written.
struct Object(Vec<u8>);

impl Object {
    fn member<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        // Writing these types into memory can't fail; the length tells should that ever change.
        let before = self.0.len();
        if serde_json::to_writer(&mut self.0, value).is_err() {
            self.0.truncate(before);
            self.0.extend_from_slice(b"null");
        }
    }

    fn raw_member(&mut self, name: &str, json: &str) {
        self.name(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    /// Attribute names need no escaping: the envelope's check permits a-z and 0-9 only.
    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}
