//! The HTTP binding of CloudEvents 1.0: from a request to events.
//!
//! What HTTP shares with other protocols, above all what each form holds, is [`trunkline_sdk::core::event::binding`]'s; here is
//! how requests carry it, and which refusal becomes which status.

use std::error::Error as _;

use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use trunkline_sdk::Event;
use trunkline_sdk::core::event::binding::{
    BinaryMode, BindingError, Form, from_protobuf, from_protobuf_batch,
};
use trunkline_sdk::core::event::{FromJsonError, from_json_batch};

use crate::problem::Problem;

/// The most events a batch may have.
pub const MAX_BATCH: usize = 10_000;

/// What the names of attributes' headers begin with.
const PREFIX: &str = "ce-";

/// Reads the events of a request; at least one.
///
/// # Errors
/// 400 names the attribute or the place, 415 the form.
pub fn read(headers: &HeaderMap, body: Bytes) -> Result<Vec<Event>, Problem> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|value| *value != "identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
        return Err(refused(BindingError::Encoding(encoding)));
    }
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::to_str).transpose();
    let content_type =
        content_type.map_err(|_| Problem::unsupported("The Content-Type header is not text."))?;
    let events = events(headers, content_type, body).map_err(refused)?;
    match events.len() {
        0 => Err(Problem::malformed("The batch is empty.")),
        1..=MAX_BATCH => Ok(events),
        many => Err(Problem::malformed(format!(
            "The batch has {many} events; at most {MAX_BATCH} are taken at once."
        ))),
    }
}

fn events(headers: &HeaderMap, content_type: Option<&str>, body: Bytes) -> Result<Vec<Event>, BindingError> {
    match Form::of(content_type)? {
        Form::Json => Ok(vec![Event::from_json(&body)?]),
        Form::JsonBatch => Ok(from_json_batch(&body)?),
        Form::Protobuf => Ok(vec![from_protobuf(body)?]),
        Form::ProtobufBatch => from_protobuf_batch(body),
        Form::Binary => Ok(vec![binary(headers)?.event(content_type, body)?]),
    }
}

/// The attributes in a request's headers.
fn binary(headers: &HeaderMap) -> Result<BinaryMode, BindingError> {
    let mut binary = BinaryMode::new(PREFIX);
    for (name, value) in headers {
        if let Some(attribute) = name.as_str().strip_prefix(PREFIX) {
            binary.add(attribute, decoded(name.as_str(), value)?)?;
        }
    }
    Ok(binary)
}

/// An attribute's value, percent-decoded as the binding says.
fn decoded(header: &str, value: &HeaderValue) -> Result<String, BindingError> {
    let value = value.as_bytes();
    let value = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let decoded = percent_encoding::percent_decode(value).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| BindingError::Header {
        header: header.to_owned(),
        problem: "is not percent-encoded UTF-8",
    })
}

fn refused(error: BindingError) -> Problem {
    if error.is_form() {
        return Problem::unsupported(format!("This can't be taken: {error}."));
    }
    let what = match &error {
        BindingError::Json(FromJsonError::InBatch { .. } | FromJsonError::NotA("a list of events")) => {
            "batch"
        }
        BindingError::InBatch { .. } => "batch",
        _ => "event",
    };
    // What is wrong with an event of a JSON batch is not in the batch's own words.
    let cause = match &error {
        BindingError::Json(error) => error.source().map(|cause| format!(": {cause}")),
        _ => None,
    };
    Problem::malformed(format!("The {what} can't be read: {error}{}.", cause.unwrap_or_default()))
}
