//! A delivery: one event on its way to one destination because of one subscription.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message;
use thiserror::Error;
use trunkline_proto::bus::v1 as bus;

use crate::event::{DecodeError, Event};
use crate::names::{DestinationName, NameError, SubscriptionName};
use crate::retry::FailureClass;
use crate::{timestamp, wire};

mod encoder;

pub use encoder::DeliveryEncoder;

/// One event on its way to one destination because of one subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The event, never rewritten.
    pub event: Event,
    /// What the transform made of it; `None` when the subscription has no transform.
    pub body: Option<Body>,
    /// The subscription that matched.
    pub subscription: String,
    /// Where it goes.
    pub destination: String,
    /// Version of the rule set that made it.
    pub rule_set: String,
    /// Attempts already made in this generation.
    pub attempt: u32,
    /// 0 in its first life, one more with each replay.
    pub generation: u32,
    /// When the router made it (or the replay).
    pub routed: DateTime<Utc>,
    /// When the first attempt of this generation began.
    pub first_attempt: Option<DateTime<Utc>>,
    /// The replay that gave it this life; empty in its first.
    pub replay_id: String,
    /// The latest attempts of this generation, oldest first; at most [`Delivery::KEPT_ATTEMPTS`].
    pub attempts: Vec<Attempt>,
}

/// An outgoing body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The bytes as they will be sent.
    pub bytes: Bytes,
    /// Their media type.
    pub content_type: String,
}

/// One try of a delivery, as remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub time: DateTime<Utc>,
    /// How long it took.
    pub took: Duration,
    /// What its failure meant; `None` when it succeeded.
    pub class: Option<FailureClass>,
    /// What happened, in words.
    pub detail: String,
    /// The platform's status code, where it has one.
    pub status: Option<u32>,
    /// The beginning of what the platform answered.
    pub response: String,
    /// The request as sent (method and URL), secrets removed.
    pub request: String,
    /// The dispatcher instance that made it.
    pub instance: String,
}

/// Why bytes are no delivery, dead letter or journey record.
#[derive(Debug, Error)]
pub enum DeliveryDecodeError {
    /// Not the protobuf message.
    #[error("not a {0} record")]
    Malformed(&'static str, #[source] prost::DecodeError),
    /// The event inside is none.
    #[error("the event inside")]
    Event(#[from] DecodeError),
    /// A required field is missing.
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    /// A field whose value nothing can be.
    #[error("field `{0}` is out of range")]
    Invalid(&'static str),
    /// A word that a later version of the format has added.
    #[error("field `{field}` has value {value}, which this version does not know")]
    Unknown {
        /// The field.
        field: &'static str,
        /// The enum's number.
        value: i32,
    },
    /// A name that breaks the rules for names.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Delivery {
    /// How many attempts a delivery and a dead letter remember.
    pub const KEPT_ATTEMPTS: usize = 10;

    /// Decodes a record of a `deliver.<destination>` channel. The event and the body stay slices of the record.
    ///
    /// # Errors
    /// [`DeliveryDecodeError`] says which part is wrong. Never panics.
    pub fn decode(bytes: Bytes) -> Result<Self, DeliveryDecodeError> {
        let wire = bus::Delivery::decode(bytes)
            .map_err(|cause| DeliveryDecodeError::Malformed("delivery", cause))?;
        Self::from_wire(wire)
    }

    /// The record for a `deliver.<destination>` channel. Of the attempts the latest [`Delivery::KEPT_ATTEMPTS`] go in.
    pub fn encode(&self) -> Bytes {
        self.to_wire().encode_to_vec().into()
    }

    pub(crate) fn from_wire(wire: bus::Delivery) -> Result<Self, DeliveryDecodeError> {
        for (field, text) in [("subscription", &wire.subscription), ("destination", &wire.destination)] {
            if text.is_empty() {
                return Err(DeliveryDecodeError::Missing(field));
            }
        }
        SubscriptionName::parse(&wire.subscription)?;
        DestinationName::parse(&wire.destination)?;
        let first_attempt =
            wire.first_attempt.map(|time| wire::read_time(Some(time), "first_attempt")).transpose()?;
        Ok(Self {
            event: Event::decode(wire.event)?,
            body: wire.body.map(|body| Body { bytes: body.bytes, content_type: body.content_type }),
            subscription: wire.subscription,
            destination: wire.destination,
            rule_set: wire.rule_set,
            attempt: wire.attempt,
            generation: wire.generation,
            routed: wire::read_time(wire.routed, "routed")?,
            first_attempt,
            replay_id: wire.replay_id,
            attempts: Attempt::all_from_wire(wire.attempts)?,
        })
    }

    pub(crate) fn to_wire(&self) -> bus::Delivery {
        let body = self.body.as_ref();
        bus::Delivery {
            event: self.event.encoded().clone(),
            body: body
                .map(|body| bus::Body { bytes: body.bytes.clone(), content_type: body.content_type.clone() }),
            subscription: self.subscription.clone(),
            destination: self.destination.clone(),
            rule_set: self.rule_set.clone(),
            attempt: self.attempt,
            generation: self.generation,
            first_attempt: self.first_attempt.map(timestamp::to_proto),
            replay_id: self.replay_id.clone(),
            routed: Some(timestamp::to_proto(self.routed)),
            attempts: self.kept_attempts().iter().map(Attempt::to_wire).collect(),
        }
    }

    fn kept_attempts(&self) -> &[Attempt] {
        &self.attempts[self.attempts.len().saturating_sub(Self::KEPT_ATTEMPTS)..]
    }
}

impl Attempt {
    pub(crate) fn all_from_wire(attempts: Vec<bus::Attempt>) -> Result<Vec<Self>, DeliveryDecodeError> {
        attempts.into_iter().map(Self::from_wire).collect()
    }

    fn from_wire(wire: bus::Attempt) -> Result<Self, DeliveryDecodeError> {
        Ok(Self {
            number: wire.number,
            time: wire::read_time(wire.time, "attempts.time")?,
            took: wire::read_duration(wire.took, "attempts.took")?,
            class: wire::read_class(wire.class, wire.retry_after, "attempts.class")?,
            detail: wire.detail,
            status: wire.status,
            response: wire.response_excerpt,
            request: wire.request,
            instance: wire.instance,
        })
    }

    fn to_wire(&self) -> bus::Attempt {
        let (class, retry_after) = wire::class(self.class.as_ref());
        bus::Attempt {
            number: self.number,
            time: Some(timestamp::to_proto(self.time)),
            took: Some(wire::duration(self.took)),
            class,
            detail: self.detail.clone(),
            status: self.status,
            response_excerpt: self.response.clone(),
            request: self.request.clone(),
            instance: self.instance.clone(),
            retry_after,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 250_000_000).unwrap()
    }

    fn attempt(number: u32, class: Option<FailureClass>) -> Attempt {
        Attempt {
            number,
            time: time(number.into()),
            took: Duration::from_millis(1500),
            class,
            detail: "503 Service Unavailable".to_owned(),
            status: Some(503),
            response: "<html>".to_owned(),
            request: "POST https://crm.example.com/contacts".to_owned(),
            instance: "a".to_owned(),
        }
    }

    pub(crate) fn delivery() -> Delivery {
        let throttled = FailureClass::Throttled { retry_after: Duration::from_secs(7) };
        Delivery {
            event: Event::builder("1", "shop", "commerce.order.created").json("{\"a\":1}").build().unwrap(),
            body: Some(Body {
                bytes: Bytes::from_static(b"{\"b\":2}"),
                content_type: "application/json".to_owned(),
            }),
            subscription: "big-orders".to_owned(),
            destination: "crm".to_owned(),
            rule_set: "abc".to_owned(),
            attempt: 2,
            generation: 1,
            routed: time(0),
            first_attempt: Some(time(1)),
            replay_id: "r1".to_owned(),
            attempts: vec![attempt(1, Some(FailureClass::Transient)), attempt(2, Some(throttled))],
        }
    }

    #[test]
    fn a_delivery_survives_the_wire_and_its_event_is_not_copied() {
        let delivery = delivery();
        let record = delivery.encode();
        let again = Delivery::decode(record.clone()).unwrap();
        assert_eq!(again, delivery);
        assert_eq!(again.encode(), record);
        assert!(record.as_ptr_range().contains(&again.event.encoded().as_ptr()), "the event was copied");
        let bare = Delivery { body: None, first_attempt: None, attempts: Vec::new(), ..delivery };
        assert_eq!(Delivery::decode(bare.encode()).unwrap(), bare);
    }

    #[test]
    fn only_the_latest_attempts_are_kept() {
        let attempts = (1..=12).map(|number| attempt(number, None)).collect();
        let again = Delivery::decode(Delivery { attempts, ..delivery() }.encode()).unwrap();
        let numbers: Vec<u32> = again.attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, (3..=12).collect::<Vec<_>>());
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut bus::Delivery), expected: &str) {
        let mut wire = delivery().to_wire();
        change(&mut wire);
        assert_eq!(Delivery::decode(wire.encode_to_vec().into()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn an_error_names_the_field() {
        refused(|wire| wire.destination.clear(), "field `destination` is missing");
        refused(|wire| wire.destination = "router".to_owned(), "`router` is reserved");
        refused(|wire| wire.routed = None, "field `routed` is missing");
        refused(|wire| wire.event.clear(), "the event inside");
        refused(
            |wire| wire.attempts[0].class = 99,
            "field `attempts.class` has value 99, which this version does not know",
        );
        refused(
            |wire| wire.attempts[0].took.as_mut().unwrap().seconds = -1,
            "field `attempts.took` is out of range",
        );
        refused(|wire| wire.routed.as_mut().unwrap().nanos = -1, "field `routed` is out of range");
        assert!(Delivery::decode(Bytes::from_static(b"\xff")).is_err());
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let mut record = delivery().encode().to_vec();
        record.extend([0xf8, 0x07, 0x01]);
        assert_eq!(Delivery::decode(record.into()).unwrap(), delivery());
    }

    proptest! {
        #[test]
        fn decoding_never_panics(index in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut record = delivery().encode().to_vec();
            let index = index.index(record.len());
            record[index] = byte;
            record.truncate(cut.index(record.len() + 1));
            let _decoded_or_not = Delivery::decode(record.into()).is_ok();
        }
    }
}
