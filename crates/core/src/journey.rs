//! What happened to events, step by step, as records of the `journey` channel.

use chrono::{DateTime, Utc};

use crate::retry::FailureClass;

/// One kind of step in an event's journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The gateway accepted it and the broker confirmed.
    Accepted,
    /// The gateway had seen it already; not carried again.
    Duplicate,
    /// No subscription matched.
    Filtered,
    /// At least one subscription matched; one such step per delivery made.
    Routed,
    /// An attempt failed and will be made again.
    Attempt,
    /// The destination holds: the delivery waits.
    Held,
    /// The platform took it.
    Delivered,
    /// It became a dead letter.
    Dead,
    /// A dead letter got another life.
    Replayed,
    /// The record was no event.
    Undecodable,
    /// An operator gave a dead letter up, with a reason.
    Discarded,
}

/// One step of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyStep {
    /// What happened.
    pub step: Step,
    /// When.
    pub time: DateTime<Utc>,
    /// The event's `source`.
    pub source: String,
    /// The event's `id`.
    pub id: String,
    /// The event's type.
    pub kind: String,
    /// The ordering key, as text where it is text.
    pub key: String,
    /// The subscription, where one is concerned.
    pub subscription: String,
    /// The destination, where one is concerned.
    pub destination: String,
    /// Class of the failure, where there was one.
    pub class: Option<FailureClass>,
    /// The platform's status code, where there was one.
    pub status: Option<u32>,
    /// The attempt's number, from 1; 0 where none is concerned.
    pub attempt: u32,
    /// The delivery's generation.
    pub generation: u32,
    /// The replay, where one is concerned.
    pub replay_id: String,
    /// The rule set's version, where one is concerned.
    pub rule_set: String,
    /// The dead letter's id, where one was made.
    pub dead_letter_id: String,
    /// What happened, in words.
    pub detail: String,
}

/// How many of each happened in one batch; stands even where `journey: failures` leaves steps out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the count of the step of its name")]
pub struct JourneyCounts {
    pub accepted: u64,
    pub duplicate: u64,
    /// Events that matched at least one subscription.
    pub routed: u64,
    /// Events that matched none.
    pub filtered: u64,
    pub undecodable: u64,
    /// Deliveries made by the router.
    pub made: u64,
    pub attempts: u64,
    pub delivered: u64,
    pub dead: u64,
    pub held: u64,
    pub replayed: u64,
    pub discarded: u64,
}

/// What one instance did in one batch; one record on `journey`, keyed by the instance's name.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyRecord {
    /// The process's name (`TRUNKLINE_INSTANCE`).
    pub instance: String,
    /// `gateway`, `router`, `dispatcher` or `console`.
    pub service: String,
    /// When the batch ended.
    pub time: DateTime<Utc>,
    /// The steps, in the order they happened.
    pub steps: Vec<JourneyStep>,
    /// How many of each.
    pub counts: JourneyCounts,
}

impl JourneyRecord {
    /// Decodes a record of the `journey` channel.
    ///
    /// # Errors
    /// [`crate::delivery::DeliveryDecodeError`] says which part is wrong. Never panics.
    pub fn decode(bytes: bytes::Bytes) -> Result<Self, crate::delivery::DeliveryDecodeError> {
        todo!("{bytes:?}")
    }

    /// The record for the `journey` channel.
    pub fn encode(&self) -> bytes::Bytes {
        todo!()
    }
}
