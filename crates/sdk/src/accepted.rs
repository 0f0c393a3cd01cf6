//! The records of events that the bus itself accepted, told from those that others put straight on `events`.
//!
//! An accepted event was checked, and is in the account as accepted. Its record carries a mark, so that the router neither
//! checks nor counts it again; a record without the mark is read with all care, in whatever form it is
//! ([`trunkline_core::event::binding::from_record`]). Whoever forges the mark spares its events the check of their JSON,
//! which is made all the same as soon as a subscription looks into it, and the account no longer balances.

use bytes::Bytes;
use trunkline_broker::{ChannelName, Outgoing};
use trunkline_core::Event;

/// The header that says which service accepted the event.
const ACCEPTED_BY: &str = "accepted-by";
const CONTENT_TYPE: &str = "application/cloudevents+protobuf";

/// The record of an event that `service` accepts, keyed by the event's ordering key.
pub fn accepted(event: &Event, service: &'static str) -> Outgoing {
    let mut record = Outgoing::new(ChannelName::events(), event.key(), event.encoded().clone());
    record.headers.push(("content-type".to_owned(), Bytes::from_static(CONTENT_TYPE.as_bytes())));
    record.headers.push((ACCEPTED_BY.to_owned(), Bytes::from_static(service.as_bytes())));
    record
}

/// Whether a record of `events` was made by [`accepted`].
pub fn is_accepted(headers: &[(String, Bytes)]) -> bool {
    // At the second place, except where an engine keeps headers in another order.
    let marked = |header: &(String, Bytes)| header.0 == ACCEPTED_BY;
    headers.get(1).is_some_and(marked) || headers.iter().any(marked)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_record_is_known_whatever_else_it_carries() {
        let event = Event::builder("1", "shop", "t").key("k").build().unwrap();
        let mut record = accepted(&event, "gateway");
        assert_eq!((record.key.as_ref(), &record.value), (&b"k"[..], event.encoded()));
        assert!(is_accepted(&record.headers));
        record.headers.insert(0, ("traceparent".to_owned(), Bytes::new()));
        assert!(is_accepted(&record.headers));
        assert!(!is_accepted(&record.headers[..2]));
    }
}
