//! What happened to events, step by step, as records of the `journey` channel.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message;
use trunkline_proto::bus::v1 as bus;

use crate::delivery::{Delivery, DeliveryDecodeError};
use crate::event::Event;
use crate::retry::FailureClass;
use crate::{timestamp, wire};

mod writer;

pub use writer::JourneyWriter;

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

impl JourneyStep {
    /// A step that concerns no event yet; everything but its kind and time is empty.
    pub fn new(step: Step, time: DateTime<Utc>) -> Self {
        Self {
            step,
            time,
            source: String::new(),
            id: String::new(),
            kind: String::new(),
            key: String::new(),
            subscription: String::new(),
            destination: String::new(),
            class: None,
            status: None,
            attempt: 0,
            generation: 0,
            replay_id: String::new(),
            rule_set: String::new(),
            dead_letter_id: String::new(),
            detail: String::new(),
        }
    }

    /// A step of `event`.
    pub fn of(step: Step, event: &Event, time: DateTime<Utc>) -> Self {
        Self {
            source: event.source().to_owned(),
            id: event.id().to_owned(),
            kind: event.kind().to_owned(),
            key: String::from_utf8_lossy(&event.key()).into_owned(),
            ..Self::new(step, time)
        }
    }

    /// A step of `delivery`.
    pub fn of_delivery(step: Step, delivery: &Delivery, time: DateTime<Utc>) -> Self {
        Self {
            subscription: delivery.subscription.clone(),
            destination: delivery.destination.clone(),
            attempt: delivery.attempt,
            generation: delivery.generation,
            replay_id: delivery.replay_id.clone(),
            rule_set: delivery.rule_set.clone(),
            ..Self::of(step, &delivery.event, time)
        }
    }
}

impl JourneyRecord {
    /// Decodes a record of the `journey` channel.
    ///
    /// # Errors
    /// [`DeliveryDecodeError`] says which part is wrong. Never panics.
    pub fn decode(bytes: Bytes) -> Result<Self, DeliveryDecodeError> {
        let wire = bus::JourneyRecord::decode(bytes)
            .map_err(|cause| DeliveryDecodeError::Malformed("journey", cause))?;
        Ok(Self {
            instance: wire.instance,
            service: wire.service,
            time: wire::read_time(wire.time, "time")?,
            steps: wire.steps.into_iter().map(JourneyStep::from_wire).collect::<Result<_, _>>()?,
            counts: wire.counts.map(JourneyCounts::from_wire).transpose()?.unwrap_or_default(),
        })
    }

    /// This record for the `journey` channel: as one, or as several where one would be longer than `max_record` bytes, as
    /// far as single steps allow it. The counts stand in the first.
    pub fn encode_fitting(self, max_record: usize) -> Vec<Bytes> {
        let mut records = Vec::with_capacity(1);
        encode_fitting(self.into_wire(), max_record, &mut records);
        records
    }

    /// The record for the `journey` channel, however long.
    pub fn encode(&self) -> Bytes {
        self.clone().into_wire().encode_to_vec().into()
    }

    fn into_wire(self) -> bus::JourneyRecord {
        bus::JourneyRecord {
            instance: self.instance,
            service: self.service,
            time: Some(timestamp::to_proto(self.time)),
            steps: self.steps.into_iter().map(JourneyStep::into_wire).collect(),
            counts: Some(self.counts.to_wire()),
        }
    }
}

/// Nearly every record fits, so its length is learned by encoding it.
fn encode_fitting(mut record: bus::JourneyRecord, max_record: usize, records: &mut Vec<Bytes>) {
    let encoded = record.encode_to_vec();
    if record.steps.len() <= 1 || encoded.len() <= max_record {
        records.push(encoded.into());
        return;
    }
    let rest = bus::JourneyRecord {
        instance: record.instance.clone(),
        service: record.service.clone(),
        time: record.time,
        steps: record.steps.split_off(record.steps.len() / 2),
        counts: None,
    };
    encode_fitting(record, max_record, records);
    encode_fitting(rest, max_record, records);
}

impl JourneyStep {
    fn from_wire(wire: bus::JourneyStep) -> Result<Self, DeliveryDecodeError> {
        Ok(Self {
            step: Step::from_wire(wire.step)?,
            time: wire::read_time(wire.time, "steps.time")?,
            source: wire.source,
            id: wire.id,
            kind: wire.event_type,
            key: wire.key,
            subscription: wire.subscription,
            destination: wire.destination,
            class: wire::read_class(wire.class, wire.retry_after, "steps.class")?,
            status: wire.status,
            attempt: wire.attempt,
            generation: wire.generation,
            replay_id: wire.replay_id,
            rule_set: wire.rule_set,
            dead_letter_id: wire.dead_letter_id,
            detail: wire.detail,
        })
    }

    fn into_wire(self) -> bus::JourneyStep {
        let (class, retry_after) = wire::class(self.class.as_ref());
        bus::JourneyStep {
            step: self.step.to_wire().into(),
            time: Some(timestamp::to_proto(self.time)),
            source: self.source,
            id: self.id,
            event_type: self.kind,
            key: self.key,
            subscription: self.subscription,
            destination: self.destination,
            class,
            retry_after,
            status: self.status,
            attempt: self.attempt,
            generation: self.generation,
            replay_id: self.replay_id,
            rule_set: self.rule_set,
            dead_letter_id: self.dead_letter_id,
            detail: self.detail,
        }
    }
}

impl Step {
    fn from_wire(step: i32) -> Result<Self, DeliveryDecodeError> {
        let known = bus::Step::try_from(step)
            .map_err(|_unknown| DeliveryDecodeError::Unknown { field: "steps.step", value: step })?;
        Ok(match known {
            bus::Step::Unspecified => return Err(DeliveryDecodeError::Missing("steps.step")),
            bus::Step::Accepted => Step::Accepted,
            bus::Step::Duplicate => Step::Duplicate,
            bus::Step::Filtered => Step::Filtered,
            bus::Step::Routed => Step::Routed,
            bus::Step::Attempt => Step::Attempt,
            bus::Step::Held => Step::Held,
            bus::Step::Delivered => Step::Delivered,
            bus::Step::Dead => Step::Dead,
            bus::Step::Replayed => Step::Replayed,
            bus::Step::Undecodable => Step::Undecodable,
            bus::Step::Discarded => Step::Discarded,
        })
    }

    fn to_wire(self) -> bus::Step {
        match self {
            Step::Accepted => bus::Step::Accepted,
            Step::Duplicate => bus::Step::Duplicate,
            Step::Filtered => bus::Step::Filtered,
            Step::Routed => bus::Step::Routed,
            Step::Attempt => bus::Step::Attempt,
            Step::Held => bus::Step::Held,
            Step::Delivered => bus::Step::Delivered,
            Step::Dead => bus::Step::Dead,
            Step::Replayed => bus::Step::Replayed,
            Step::Undecodable => bus::Step::Undecodable,
            Step::Discarded => bus::Step::Discarded,
        }
    }
}

impl JourneyCounts {
    fn from_wire(wire: bus::JourneyCounts) -> Result<Self, DeliveryDecodeError> {
        let count =
            |count: i64| u64::try_from(count).map_err(|_negative| DeliveryDecodeError::Invalid("counts"));
        Ok(Self {
            accepted: count(wire.accepted)?,
            duplicate: count(wire.duplicate)?,
            routed: count(wire.routed)?,
            filtered: count(wire.filtered)?,
            undecodable: count(wire.undecodable)?,
            made: count(wire.made)?,
            attempts: count(wire.attempts)?,
            delivered: count(wire.delivered)?,
            dead: count(wire.dead)?,
            held: count(wire.held)?,
            replayed: count(wire.replayed)?,
            discarded: count(wire.discarded)?,
        })
    }

    fn to_wire(self) -> bus::JourneyCounts {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        bus::JourneyCounts {
            accepted: count(self.accepted),
            duplicate: count(self.duplicate),
            routed: count(self.routed),
            filtered: count(self.filtered),
            undecodable: count(self.undecodable),
            made: count(self.made),
            attempts: count(self.attempts),
            delivered: count(self.delivered),
            dead: count(self.dead),
            held: count(self.held),
            replayed: count(self.replayed),
            discarded: count(self.discarded),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::tests::{delivery, time};

    fn record() -> JourneyRecord {
        use Step::*;
        let steps = [
            Accepted,
            Duplicate,
            Filtered,
            Routed,
            Attempt,
            Held,
            Delivered,
            Dead,
            Replayed,
            Undecodable,
            Discarded,
        ];
        JourneyRecord {
            instance: "a".to_owned(),
            service: "dispatcher".to_owned(),
            time: time(1),
            steps: steps
                .into_iter()
                .map(|step| JourneyStep {
                    class: Some(FailureClass::Halted),
                    status: Some(401),
                    dead_letter_id: "d".to_owned(),
                    detail: "x".to_owned(),
                    ..JourneyStep::of_delivery(step, &delivery(), time(2))
                })
                .collect(),
            counts: JourneyCounts { accepted: 1, discarded: 12, ..JourneyCounts::default() },
        }
    }

    #[test]
    fn a_record_survives_the_wire() {
        assert_eq!(JourneyRecord::decode(record().encode()).unwrap(), record());
    }

    #[test]
    fn a_step_of_a_later_version_is_an_error_that_names_it() {
        let mut wire = bus::JourneyRecord::decode(record().encode()).unwrap();
        wire.steps[0].step = 1000;
        let error = JourneyRecord::decode(wire.encode_to_vec().into()).unwrap_err();
        assert_eq!(error.to_string(), "field `steps.step` has value 1000, which this version does not know");
    }

    #[test]
    fn a_record_too_long_is_split_and_its_counts_stand_once() {
        let whole = record();
        let encoded = whole.clone().encode_fitting(400);
        assert!(encoded.len() > 1);
        assert!(encoded.iter().all(|part| part.len() <= 400));
        let parts: Vec<_> = encoded.into_iter().map(|part| JourneyRecord::decode(part).unwrap()).collect();
        assert_eq!(parts.iter().flat_map(|part| part.steps.clone()).collect::<Vec<_>>(), whole.steps);
        assert_eq!(parts.iter().map(|part| part.counts.discarded).sum::<u64>(), 12);
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in any::<Vec<u8>>()) {
            let _decoded_or_not = JourneyRecord::decode(bytes.into()).is_ok();
        }
    }
}
