//! The HTTP binding of CloudEvents 1.0: from a request to events.
//!
//! The content type chooses the mode: `application/cloudevents+json` and `+protobuf` are structured,
//! `application/cloudevents-batch+json` and `+protobuf` are batches, everything else is binary mode, with the attributes
//! in `ce-` headers. Data is checked here as far as every reader depends on it: JSON must be JSON, without duplicate
//! keys, nested no deeper than 64.

use std::error::Error as _;

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::Bytes;
use trunkline_sdk::Event;
use trunkline_sdk::core::event::from_json_batch;

use crate::problem::Problem;

mod binary;
mod protobuf;

/// The most events a batch may have.
pub const MAX_BATCH: usize = 10_000;

/// Reads the events of a request; at least one.
///
/// # Errors
/// 400 names the attribute or the place, 415 the form.
pub fn read(headers: &HeaderMap, body: Bytes) -> Result<Vec<Event>, Problem> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING).filter(|value| *value != "identity") {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).escape_debug().to_string();
        return Err(Problem::unsupported(format!(
            "Content-Encoding `{encoding}` is not taken. Send the body uncompressed."
        )));
    }
    let content_type = match headers.get(CONTENT_TYPE) {
        None => String::new(),
        Some(value) => value
            .to_str()
            .map_err(|_| Problem::unsupported("The Content-Type header is not text."))?
            .to_ascii_lowercase(),
    };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let events = match essence {
        "application/cloudevents+json" | "application/cloudevents" => {
            structured(&body).map(|event| vec![event])
        }
        "application/cloudevents-batch+json" | "application/cloudevents-batch" => batch(&body),
        "application/cloudevents+protobuf" => protobuf::structured(body).map(|event| vec![event]),
        "application/cloudevents-batch+protobuf" => protobuf::batch(body),
        other if other.starts_with("application/cloudevents") => Err(Problem::unsupported(format!(
            "Content type `{other}` is not taken. Use application/cloudevents+json, application/cloudevents+protobuf, their -batch forms, or binary mode."
        ))),
        _ => binary::read(headers, body).map(|event| vec![event]),
    }?;
    match events.len() {
        0 => Err(Problem::malformed("The batch is empty.")),
        1..=MAX_BATCH => Ok(events),
        many => Err(Problem::malformed(format!(
            "The batch has {many} events; at most {MAX_BATCH} are taken at once."
        ))),
    }
}

fn structured(body: &[u8]) -> Result<Event, Problem> {
    Event::from_json(body).map_err(|error| Problem::malformed(format!("The event can't be read: {error}.")))
}

fn batch(body: &[u8]) -> Result<Vec<Event>, Problem> {
    from_json_batch(body).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        Problem::malformed(format!("The batch can't be read: {error}{cause}."))
    })
}
