//! What settles one record: its receipt together with the consequence that must be stored first.

use std::time::Duration;

use chrono::{DateTime, Utc};
use trunkline_broker::{ChannelName, Headers, Key, Outgoing, Receipt};
use trunkline_core::dead_letter::Contents;
use trunkline_core::journey::{JourneyCounts, JourneyStep, Step};
use trunkline_core::{DeadLetter, DeadLetterReason, Delivery, DestinationName};

use super::lanes::{LeaseFlag, Record};

/// Headers of a delivery that its dead letter carries on.
const CARRIED_HEADERS: [&str; 2] = ["traceparent", "tracestate"];

/// A record's settlement.
#[derive(Debug)]
pub(super) struct Settlement {
    destination: DestinationName,
    /// `None` while it is handed over, and always unless `settles`.
    pub(super) receipt: Option<Receipt>,
    /// Whether it settles a record.
    pub(super) settles: bool,
    lease: LeaseFlag,
    key: Key,
    headers: Headers,
    output: Output,
    pub(super) step: JourneyStep,
    /// The step is in a journey record that is stored.
    pub(super) journaled: bool,
}

/// What is stored before the record is settled, beside the journey.
#[derive(Debug)]
enum Output {
    Nothing,
    Again { delivery: Box<Delivery>, delay: Duration },
    Dead(Box<DeadLetter>),
}

impl Settlement {
    /// The delivery was delivered.
    pub(super) fn delivered(destination: &DestinationName, record: Record, step: JourneyStep) -> Self {
        Self::new(destination, record, Output::Nothing, step)
    }

    /// The delivery is attempted again after `delay`.
    pub(super) fn again(
        destination: &DestinationName,
        record: Record,
        delivery: Box<Delivery>,
        delay: Duration,
        step: JourneyStep,
    ) -> Self {
        Self::new(destination, record, Output::Again { delivery, delay }, step)
    }

    /// The delivery became a dead letter; its body is left out where it would not fit into `max_record` bytes.
    pub(super) fn dead(
        destination: &DestinationName,
        record: Record,
        letter: DeadLetter,
        step: JourneyStep,
        max_record: usize,
    ) -> Self {
        let mut settlement = Self::new(destination, record, Output::Nothing, step);
        settlement.bury(letter, max_record);
        settlement
    }

    /// The record of `destination` is no delivery.
    pub(super) fn undecodable(
        destination: &DestinationName,
        record: Record,
        value: bytes::Bytes,
        detail: String,
        now: DateTime<Utc>,
        max_record: usize,
    ) -> Self {
        let letter = DeadLetter {
            contents: Contents::Malformed(value),
            reason: DeadLetterReason::Undecodable,
            detail: detail.clone(),
            class: None,
            policy: None,
            time: now,
            dropped_body: None,
        };
        let step = JourneyStep {
            destination: destination.to_string(),
            key: String::from_utf8_lossy(&record.key).into_owned(),
            dead_letter_id: letter.id(),
            detail,
            ..JourneyStep::new(Step::Dead, now)
        };
        Self::dead(destination, record, letter, step, max_record)
    }

    /// A step of the journey that settles nothing.
    pub(super) fn only_step(destination: &DestinationName, step: JourneyStep) -> Self {
        Self {
            destination: destination.clone(),
            receipt: None,
            settles: false,
            lease: LeaseFlag::default(),
            key: Key::new(),
            headers: Headers::new(),
            output: Output::Nothing,
            step,
            journaled: false,
        }
    }

    fn new(destination: &DestinationName, record: Record, output: Output, step: JourneyStep) -> Self {
        let Record { receipt, key, headers, lease, partition: _ } = record;
        let destination = destination.clone();
        let receipt = Some(receipt);
        Self { destination, receipt, settles: true, lease, key, headers, output, step, journaled: false }
    }

    /// The record to publish, where there is one.
    pub(super) fn outgoing(&self) -> Option<Outgoing> {
        match &self.output {
            Output::Nothing => None,
            Output::Again { delivery, delay } => {
                let channel = ChannelName::deliver(&self.destination);
                let outgoing = Outgoing::new(channel, self.key.clone(), delivery.encode());
                Some(Outgoing { headers: self.headers.clone(), delay: Some(*delay), ..outgoing })
            }
            Output::Dead(letter) => {
                let channel = ChannelName::dead(&self.destination);
                let outgoing = Outgoing::new(channel, self.key.clone(), letter.encode());
                Some(Outgoing { headers: self.carried(), ..outgoing })
            }
        }
    }

    /// What is to be published is stored: nothing is left but to settle.
    pub(super) fn stored(&mut self) {
        self.output = Output::Nothing;
    }

    /// The engine can't carry the record. Makes it smaller: another attempt becomes a dead letter, and a dead letter
    /// gives up what it says about its attempts. `false` when nothing is left to leave out.
    pub(super) fn shrink(&mut self, detail: &str, max_record: usize) -> bool {
        match std::mem::replace(&mut self.output, Output::Nothing) {
            Output::Nothing => false,
            Output::Again { delivery, .. } => {
                let letter = DeadLetter {
                    class: delivery.attempts.last().and_then(|attempt| attempt.class.clone()),
                    contents: Contents::Delivery(delivery),
                    reason: DeadLetterReason::TooLarge,
                    detail: detail.to_owned(),
                    policy: None,
                    time: self.step.time,
                    dropped_body: None,
                };
                self.step.step = Step::Dead;
                self.step.detail = detail.to_owned();
                self.step.dead_letter_id = letter.id();
                self.bury(letter, max_record);
                true
            }
            Output::Dead(mut letter) => {
                let shrunk = match &mut letter.contents {
                    Contents::Delivery(delivery) if !delivery.attempts.is_empty() => {
                        delivery.attempts.clear();
                        true
                    }
                    _ => false,
                };
                self.bury(*letter, max_record);
                shrunk
            }
        }
    }

    /// Whether settling it is no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.settles && self.lease.is_lost()
    }

    /// Adds it to the counts of a journey record.
    pub(super) fn count(&self, counts: &mut JourneyCounts) {
        if self.step.attempt > 0 {
            counts.attempts += 1;
        }
        match self.step.step {
            Step::Delivered => counts.delivered += 1,
            Step::Dead => counts.dead += 1,
            Step::Held => counts.held += 1,
            _ => {}
        }
    }

    fn bury(&mut self, letter: DeadLetter, max_record: usize) {
        let headers: usize = self.carried().iter().map(|(name, value)| name.len() + value.len()).sum();
        let letter = letter.fitting(max_record.saturating_sub(self.key.len() + headers));
        self.output = Output::Dead(Box::new(letter));
    }

    fn carried(&self) -> Headers {
        let carried = |name: &str| CARRIED_HEADERS.contains(&name);
        self.headers.iter().filter(|(name, _)| carried(name)).cloned().collect()
    }
}
