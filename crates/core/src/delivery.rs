//! A delivery: one event on its way to one destination because of one subscription.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::event::{DecodeError, Event};
use crate::names::NameError;
use crate::retry::FailureClass;

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

/// Why bytes are no delivery (or dead letter).
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
    /// A name that breaks the rules for names.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl Delivery {
    /// How many attempts a delivery and a dead letter remember.
    pub const KEPT_ATTEMPTS: usize = 10;
}

impl Delivery {
    /// Decodes a record of a `deliver.<destination>` channel.
    ///
    /// # Errors
    /// [`DeliveryDecodeError`] says which part is wrong. Never panics.
    pub fn decode(bytes: Bytes) -> Result<Self, DeliveryDecodeError> {
        todo!("{bytes:?}")
    }

    /// The record for a `deliver.<destination>` channel.
    pub fn encode(&self) -> Bytes {
        todo!()
    }
}
