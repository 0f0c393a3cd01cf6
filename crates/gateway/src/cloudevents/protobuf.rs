//! The protobuf format, one event or a batch. Events keep their very bytes.

use bytes::{Buf, Bytes};
use trunkline_sdk::core::json;
use trunkline_sdk::{Data, Event};

use crate::problem::Problem;

/// The tag of `CloudEventBatch.events`: field 1, length-delimited.
const EVENTS_TAG: u8 = 0x0a;

pub(super) fn structured(body: Bytes) -> Result<Event, Problem> {
    event(body).map_err(|problem| Problem::malformed(format!("The event can't be read: {problem}.")))
}

/// Splits a batch by hand, so that each event is a slice of the body and stays as its sender encoded it.
pub(super) fn batch(mut body: Bytes) -> Result<Vec<Event>, Problem> {
    let mut events = Vec::new();
    while body.has_remaining() {
        let index = events.len();
        let malformed = |problem: String| {
            Problem::malformed(format!("Event {index} of the batch can't be read: {problem}."))
        };
        if body.get_u8() != EVENTS_TAG {
            return Err(malformed("not a CloudEventBatch".to_owned()));
        }
        let length = length(&mut body).ok_or_else(|| malformed("its length is cut off".to_owned()))?;
        if length > body.len() {
            return Err(malformed("the batch ends inside it".to_owned()));
        }
        events.push(event(body.split_to(length)).map_err(malformed)?);
    }
    Ok(events)
}

fn event(bytes: Bytes) -> Result<Event, String> {
    let event = Event::decode(bytes).map_err(|error| error.to_string())?;
    match event.data() {
        Data::Text(text) if event.is_json() => {
            json::check(text.as_str()).map_err(|error| format!("data: {error}"))?;
        }
        _ => {}
    }
    Ok(event)
}

/// A protobuf varint that fits a length.
fn length(bytes: &mut Bytes) -> Option<usize> {
    let mut length = 0u64;
    for shift in (0..35).step_by(7) {
        if !bytes.has_remaining() {
            return None;
        }
        let byte = bytes.get_u8();
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(length).ok();
        }
    }
    None
}
