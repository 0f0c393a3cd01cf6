//! The protobuf format, one event or a batch. Events keep their very bytes.

use bytes::{Buf, Bytes};
use prost::encoding::decode_varint;

use super::BindingError;
use crate::event::{Data, DecodeError, Event};
use crate::json;

/// The tag of `CloudEventBatch.events`: field 1, length-delimited.
const EVENTS_TAG: u8 = 0x0a;

/// Reads an event in structured protobuf (`application/cloudevents+protobuf`) that nobody checked yet: beside what
/// [`Event::decode`] checks, JSON data must be JSON.
///
/// # Errors
/// [`BindingError`]. Never panics, whatever the bytes.
pub fn from_protobuf(bytes: Bytes) -> Result<Event, BindingError> {
    let event = Event::decode(bytes)?;
    match event.data() {
        Data::Text(text) if event.is_json() => json::check(text.as_str())?,
        _ => {}
    }
    Ok(event)
}

/// Reads a batch of events in protobuf (`application/cloudevents-batch+protobuf`). It is split by hand, so that each event is
/// a slice of the body and stays as its sender encoded it.
///
/// # Errors
/// As [`from_protobuf`]; of a batch with a bad event none is returned.
pub fn from_protobuf_batch(mut body: Bytes) -> Result<Vec<Event>, BindingError> {
    let mut events = Vec::new();
    while body.has_remaining() {
        let index = events.len();
        let event = one(&mut body).and_then(from_protobuf);
        events.push(event.map_err(|cause| BindingError::InBatch { index, cause: Box::new(cause) })?);
    }
    Ok(events)
}

/// Takes the next event's bytes off a batch.
fn one(batch: &mut Bytes) -> Result<Bytes, BindingError> {
    if batch.get_u8() != EVENTS_TAG {
        return Err(DecodeError::Malformed("not a CloudEventBatch").into());
    }
    let length = decode_varint(batch).map_err(|_cause| DecodeError::Malformed("its length is cut off"))?;
    match usize::try_from(length) {
        Ok(length) if length <= batch.len() => Ok(batch.split_to(length)),
        _ => Err(DecodeError::Malformed("the batch ends inside it").into()),
    }
}
