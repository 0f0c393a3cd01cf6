//! One way to look into an event, whatever form its data has.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use prost_reflect::DynamicMessage;
use thiserror::Error;

use crate::event::{Attribute, Data, Event};
use crate::json;
use crate::types::TypeCatalogue;
use crate::value::Value;

mod convert;
mod scan;

/// An event as patterns, conditions, transforms, `try` and `explain` see it: `.id .source .type .subject .time
/// .ext.<name> .data`.
///
/// Field names are those of the .proto; int64 is an integer; enums are names without their type's prefix; `Timestamp`
/// is a timestamp; implicit-presence fields are always present; an absent optional field is null; JSON data is as it
/// is; binary data has no `.data`. Data is decoded at most once, on first use.
#[derive(Debug)]
pub struct EventView<'a> {
    event: &'a Event,
    catalogue: &'a TypeCatalogue,
    data: OnceLock<Result<Option<Value>, ViewError>>,
}

/// Why an event's data can't be looked into.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ViewError {
    /// JSON that [`crate::json`] refuses.
    #[error("data is no acceptable JSON: {0}")]
    Json(#[from] crate::json::JsonError),
    /// Protobuf data of a type that is neither canonical nor registered.
    #[error("data has type `{0}`, which is not registered under `types`")]
    UnknownType(String),
    /// Protobuf data that does not decode as its type.
    #[error("data does not decode as `{message}`: {problem}")]
    Malformed {
        /// The type.
        message: String,
        /// What the decoder says.
        problem: Arc<str>,
    },
}

impl<'a> EventView<'a> {
    /// A view of `event`; nothing is decoded yet.
    pub fn new(event: &'a Event, catalogue: &'a TypeCatalogue) -> Self {
        Self { event, catalogue, data: OnceLock::new() }
    }

    /// The event looked into.
    pub fn event(&self) -> &'a Event {
        self.event
    }

    /// `.data`, decoded on the first call; `None` when the event has none or it is binary. Text that is not JSON is
    /// [`Value::Text`].
    ///
    /// # Errors
    /// [`ViewError`], the same at each call.
    pub fn data(&self) -> Result<Option<&Value>, &ViewError> {
        self.data.get_or_init(|| self.decode()).as_ref().map(Option::as_ref)
    }

    fn decode(&self) -> Result<Option<Value>, ViewError> {
        match self.event.data() {
            Data::None | Data::Binary(_) => Ok(None),
            Data::Text(text) if self.event.is_json() => Ok(Some(json::parse(text.as_str())?)),
            Data::Text(text) => Ok(Some(text.as_str().into())),
            Data::Proto { type_url, value } => {
                let descriptor = self
                    .catalogue
                    .find(type_url.as_str())
                    .ok_or_else(|| ViewError::UnknownType(type_url.as_str().to_owned()))?;
                let message = descriptor.full_name().to_owned();
                let malformed = |problem: Arc<str>| ViewError::Malformed { message, problem };
                if !scan::is_small(&descriptor, value) {
                    return Err(malformed(convert::TOO_MANY.into()));
                }
                match DynamicMessage::decode(descriptor, value.clone()) {
                    Err(error) => Err(malformed(error.to_string().into())),
                    Ok(dynamic) => convert::Converter::new(self.catalogue)
                        .message(&dynamic, 0)
                        .map(Some)
                        .map_err(|problem| malformed(problem.into())),
                }
            }
        }
    }

    /// An attribute by its name in the view: `id`, `source`, `type`, `subject`, `time`, or `ext.<name>`'s last part.
    /// `None` when the event does not have it.
    pub fn attribute(&self, name: &str) -> Option<Value> {
        match name {
            "id" => Some(self.event.id().into()),
            "source" => Some(self.event.source().into()),
            "type" => Some(self.event.kind().into()),
            _ => self.event.attribute(name).map(attribute_value),
        }
    }

    /// `.ext`: every attribute but the required ones, `subject` and `time`.
    pub fn extensions(&self) -> BTreeMap<Arc<str>, Value> {
        let is_extension = |name: &str| !matches!(name, "subject" | "time");
        let extensions = self.event.attributes().filter(|(name, _)| is_extension(name));
        extensions.map(|(name, value)| (name.into(), attribute_value(value))).collect()
    }

    /// The whole view as one object (`{ id, source, type, subject, time, ext, data }`): `subject` and `time` are null
    /// where the event has none, `data` is left out where [`EventView::data`] has none.
    ///
    /// # Errors
    /// [`ViewError`] when there is data that can't be looked into.
    pub fn to_value(&self) -> Result<Value, ViewError> {
        let mut members = BTreeMap::new();
        for name in ["id", "source", "type", "subject", "time"] {
            members.insert(name.into(), self.attribute(name).unwrap_or(Value::Null));
        }
        members.insert("ext".into(), Value::Object(self.extensions()));
        if let Some(data) = self.data().map_err(Clone::clone)? {
            members.insert("data".into(), data.clone());
        }
        Ok(Value::Object(members))
    }
}

fn attribute_value(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Boolean(truth) => Value::Boolean(*truth),
        Attribute::Integer(number) => Value::Integer((*number).into()),
        Attribute::Text(text) | Attribute::Uri(text) | Attribute::UriReference(text) => text.as_str().into(),
        Attribute::Binary(bytes) => Value::Bytes(bytes.clone()),
        Attribute::Timestamp(time) => Value::Timestamp(*time),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;
