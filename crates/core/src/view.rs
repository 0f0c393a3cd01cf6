//! One way to look into an event, whatever form its data has.

use std::sync::{Arc, OnceLock};

use thiserror::Error;

use crate::event::Event;
use crate::types::TypeCatalogue;
use crate::value::Value;

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

    /// `.data`, decoded on the first call; `None` when the event has none or it is binary.
    ///
    /// # Errors
    /// [`ViewError`], the same at each call.
    pub fn data(&self) -> Result<Option<&Value>, &ViewError> {
        todo!("{:?}", self.catalogue)
    }

    /// An attribute by its name in the view: `id`, `source`, `type`, `subject`, `time`, or `ext.<name>`'s last part.
    pub fn attribute(&self, name: &str) -> Option<Value> {
        todo!("{name} {:?}", self.data)
    }

    /// The whole view as one object (`{ id, source, type, subject, time, ext, data }`).
    ///
    /// # Errors
    /// [`ViewError`] when there is data that can't be looked into.
    pub fn to_value(&self) -> Result<Value, ViewError> {
        todo!()
    }
}
