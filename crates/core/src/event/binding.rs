//! How protocols carry events: what the HTTP and Kafka bindings of CloudEvents 1.0 have in common, and the records of
//! `events` that other publishers write.
//!
//! The content type chooses the [`Form`]. `application/cloudevents+json` and `+protobuf` are structured, their `-batch`
//! forms hold several events, everything else is binary mode: the attributes stand in headers, whose names begin with the
//! protocol's prefix, and the body is the data. Data is checked here as far as every reader depends on it: JSON must be JSON,
//! without duplicate keys, nested no deeper than [`crate::json::MAX_DEPTH`].

use thiserror::Error;

use super::{BuildError, DecodeError, FromJsonError};
use crate::json::JsonError;

mod binary;
mod protobuf;
mod record;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests;

pub use binary::BinaryMode;
pub use protobuf::{from_protobuf, from_protobuf_batch};
pub use record::from_record;

/// The form in which a body holds events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One event in JSON: [`super::Event::from_json`].
    Json,
    /// A list of events in JSON: [`super::from_json_batch`].
    JsonBatch,
    /// One event in protobuf: [`from_protobuf`].
    Protobuf,
    /// A `CloudEventBatch` in protobuf: [`from_protobuf_batch`].
    ProtobufBatch,
    /// Attributes in headers, the body is the data: [`BinaryMode`].
    Binary,
}

/// Why what a protocol carried is no event.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BindingError {
    /// A content type of the `application/cloudevents` family that is not taken.
    #[error(
        "content type `{}` is not taken; use application/cloudevents+json, application/cloudevents+protobuf or binary mode",
        .0.escape_debug()
    )]
    ContentType(String),
    /// Compressed, or encoded in another way.
    #[error("content encoding `{}` is not taken; send the content as it is", .0.escape_debug())]
    Encoding(String),
    /// Neither a structured form nor any attribute in a header.
    #[error(
        "no CloudEvents here: there are no {prefix} headers (binary mode) and the content type is no application/cloudevents form"
    )]
    NoEvent {
        /// What the names of attributes' headers begin with.
        prefix: &'static str,
    },
    /// A batch where the protocol carries one event at a time.
    #[error("a record holds one event; batches are not taken")]
    Batch,
    /// The header of a required attribute is missing.
    #[error("header `{0}` is missing")]
    Missing(String),
    /// A header with a value that it may not have.
    #[error("header `{}` {problem}", .header.escape_debug())]
    Header {
        /// The header, with its prefix.
        header: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Data that its content type calls text is none.
    #[error("the data is not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// Structured JSON that is no event.
    #[error(transparent)]
    Json(#[from] FromJsonError),
    /// The envelope breaks a rule.
    #[error(transparent)]
    Envelope(#[from] DecodeError),
    /// JSON data that is refused.
    #[error("data: {0}")]
    Data(#[from] JsonError),
    /// One event of a batch.
    #[error("event {index} of the batch: {cause}")]
    InBatch {
        /// From 0.
        index: usize,
        /// Why it is none.
        #[source]
        cause: Box<BindingError>,
    },
}

impl Form {
    /// The form that a content type stands for; without one it is binary mode. Parameters do not count, nor does case.
    ///
    /// # Errors
    /// [`BindingError::ContentType`] for another format of the `application/cloudevents` family, for example Avro.
    pub fn of(content_type: Option<&str>) -> Result<Self, BindingError> {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        match essence.as_str() {
            "application/cloudevents" | "application/cloudevents+json" => Ok(Self::Json),
            "application/cloudevents-batch" | "application/cloudevents-batch+json" => Ok(Self::JsonBatch),
            "application/cloudevents+protobuf" => Ok(Self::Protobuf),
            "application/cloudevents-batch+protobuf" => Ok(Self::ProtobufBatch),
            other if other.starts_with("application/cloudevents") => Err(BindingError::ContentType(essence)),
            _ => Ok(Self::Binary),
        }
    }
}

impl BindingError {
    /// Whether the form itself is not taken, whatever is in it.
    pub fn is_form(&self) -> bool {
        matches!(self, Self::ContentType(_) | Self::Encoding(_) | Self::NoEvent { .. } | Self::Batch)
    }
}

impl From<BuildError> for BindingError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Envelope(error) => Self::Envelope(error),
            BuildError::Json(error) => Self::Data(error),
        }
    }
}
