//! What becomes of a batch of events: deliveries, dead letters and a journey. Pure but for the time passed in.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trunkline_rules::{Allowances, Routed, Routing, RuleFailure, RuleSet, Stage};
use trunkline_sdk::broker::{ChannelName, Headers, Key, Outgoing, Received};
use trunkline_sdk::config::JourneyMode;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyStep, JourneyWriter, Step};
use trunkline_sdk::core::{DeadLetter, DeadLetterReason, Delivery, DestinationName, Event, SubscriptionName};
use trunkline_sdk::trace::Span;

use crate::forms::Forms;
use crate::inbound::{self, Inbound, carried};
use crate::traced;

/// What is the same for every batch of one router.
#[derive(Debug, Clone)]
pub struct Converter {
    /// The process's name, for the journey.
    pub instance: String,
    /// Which steps the journey records.
    pub journey: JourneyMode,
    /// The longest record in bytes that the engine takes.
    pub max_record: usize,
}

/// What a batch became.
#[derive(Debug, Default)]
pub struct Converted {
    /// Deliveries, dead letters and the journey record, in the order of the batch.
    pub outputs: Vec<Outgoing>,
    /// The rule failures, for the log and the metrics.
    pub failures: Vec<RuleFailure>,
    /// The subscriptions that matched with their destinations, and how many deliveries were made, for the metrics.
    pub made: Vec<(SubscriptionName, DestinationName, u64)>,
    /// How many of each.
    pub counts: JourneyCounts,
    /// The steps of traces that end when the batch is handed over.
    pub(crate) spans: Vec<Span>,
}

/// A batch while it is converted.
struct Batch<'a> {
    converter: &'a Converter,
    rules: &'a RuleSet,
    now: DateTime<Utc>,
    forms: Forms,
    journey: JourneyWriter,
    converted: Converted,
}

impl Converter {
    /// Converts a batch with one rule set, whose programs get the time that `allowances` leave them. Every record of
    /// the batch has a consequence among the outputs.
    pub fn convert(
        &self,
        rules: &RuleSet,
        allowances: &mut Allowances,
        batch: &[Received],
        now: DateTime<Utc>,
    ) -> Converted {
        let mut making = Batch {
            converter: self,
            rules,
            now,
            forms: Forms::default(),
            journey: JourneyWriter::new(&self.instance, "router", now, self.max_record / 2),
            converted: Converted::default(),
        };
        making.converted.outputs.reserve(batch.len() + 1);
        for record in batch {
            making.record(record, allowances);
        }
        making.finish()
    }

    /// The record of a dead letter, and the journey's step.
    pub(crate) fn dead(
        &self,
        dead: DeadLetter,
        key: Key,
        headers: &Headers,
        now: DateTime<Utc>,
    ) -> (Outgoing, JourneyStep) {
        let dead = dead.fitting(self.max_record);
        let (channel, mut step) = match &dead.contents {
            Contents::Delivery(delivery) => {
                let channel = DestinationName::parse(&delivery.destination)
                    .map_or_else(|_| ChannelName::dead_router(), |name| ChannelName::dead(&name));
                (channel, JourneyStep::of_delivery(Step::Dead, delivery, now))
            }
            _ => (ChannelName::dead_router(), JourneyStep::new(Step::Dead, now)),
        };
        step.detail.clone_from(&dead.detail);
        step.dead_letter_id = dead.id();
        let mut output = Outgoing::new(channel, key, dead.encode());
        output.headers.clone_from(headers);
        (output, step)
    }
}

impl Batch<'_> {
    fn record(&mut self, record: &Received, allowances: &mut Allowances) {
        let foreign = inbound::is_foreign(record);
        if foreign {
            // Nobody counted it before, and what becomes of it is in the account.
            self.converted.counts.accepted += 1;
        }
        let made_before = self.converted.outputs.len();
        match inbound::read(record, foreign) {
            Ok(inbound) => {
                if foreign && self.records_all() {
                    self.journey.step(JourneyStep::of(Step::Accepted, &inbound.event, self.now));
                }
                let routing = self.rules.route_within(&inbound.event, allowances);
                self.route(routing, &inbound);
                self.trace(traced::record(record, Ok(&inbound.event)), made_before);
            }
            Err(detail) => {
                let span = traced::record(record, Err(&detail));
                self.bury(record, detail);
                self.trace(span, made_before);
            }
        }
    }

    /// Whether the journey has steps that went well.
    fn records_all(&self) -> bool {
        self.converter.journey == JourneyMode::All
    }

    fn finish(self) -> Converted {
        let mut converted = self.converted;
        converted.made = self.forms.made();
        let key = Bytes::copy_from_slice(self.converter.instance.as_bytes());
        for record in self.journey.finish(converted.counts) {
            converted.outputs.push(Outgoing::new(ChannelName::journey(), key.clone(), record));
        }
        converted
    }

    /// Lets what was made of a record follow its step.
    fn trace(&mut self, span: Option<Span>, made_before: usize) {
        let Some(span) = span else { return };
        for output in &mut self.converted.outputs[made_before..] {
            let (step, headers) = traced::output(&span, &output.channel);
            let carried = std::mem::replace(&mut output.headers, headers);
            // What barely fits goes on without this step rather than not at all.
            if output.size() > self.converter.max_record {
                output.headers = carried;
            }
            self.converted.spans.push(step);
        }
        self.converted.spans.push(span);
    }

    fn route(&mut self, routing: Routing, inbound: &Inbound) {
        let event = &inbound.event;
        let counts = &mut self.converted.counts;
        if routing.matched.is_empty() && routing.failed.is_empty() {
            counts.filtered += 1;
            if self.records_all() {
                self.journey.event(Step::Filtered, event, "", "", self.rules.version());
            }
            return;
        }
        counts.routed += 1;
        counts.made += (routing.matched.len() + routing.failed.len()) as u64;
        for routed in routing.matched {
            if self.records_all() {
                let (subscription, destination) = (routed.subscription.as_str(), routed.destination.as_str());
                self.journey.event(Step::Routed, event, subscription, destination, self.rules.version());
            }
            match self.deliver(inbound, routed) {
                Ok(output) => self.converted.outputs.push(output),
                Err(dead) => self.dead(*dead, inbound.key.clone(), &inbound.headers),
            }
        }
        for failure in routing.failed {
            let dead = failed(event, &failure, self.rules, self.now);
            self.dead(dead, inbound.key.clone(), &inbound.headers);
            self.converted.failures.push(failure);
        }
    }

    /// The record of a delivery, or the dead letter it becomes when the engine can't carry it.
    fn deliver(&mut self, inbound: &Inbound, routed: Routed) -> Result<Outgoing, Box<DeadLetter>> {
        let max_record = self.converter.max_record;
        let (channel, record) = self.forms.fill(&routed, &inbound.event, self.rules.version(), self.now);
        let mut output = Outgoing::new(channel, inbound.key.clone(), record);
        output.headers = inbound.headers.clone();
        // Retries add attempts to the record; leave room for them.
        let size = output.size() + room_for_attempts(max_record);
        if size <= max_record {
            return Ok(output);
        }
        let detail = format!("the delivery needs {size} bytes, the engine takes {max_record}");
        let (subscription, destination) = (routed.subscription.as_str(), &routed.destination);
        let delivery = delivery(&inbound.event, subscription, destination, self.rules, self.now);
        let delivery = Delivery { body: routed.body, ..delivery };
        Err(Box::new(dead_letter(delivery, DeadLetterReason::TooLarge, detail, self.now)))
    }

    fn dead(&mut self, dead: DeadLetter, key: Key, headers: &Headers) {
        self.converted.counts.dead += 1;
        let (output, step) = self.converter.dead(dead, key, headers, self.now);
        self.converted.outputs.push(output);
        self.journey.step(step);
    }

    /// A record that is no event goes to `dead.router`, its bytes unchanged; the partition goes on.
    fn bury(&mut self, record: &Received, detail: String) {
        self.converted.counts.undecodable += 1;
        let dead = DeadLetter {
            contents: Contents::Malformed(record.value.clone()),
            reason: DeadLetterReason::Undecodable,
            detail,
            class: None,
            policy: None,
            time: self.now,
            dropped_body: None,
        };
        let (output, step) = self.converter.dead(dead, record.key.clone(), &carried(record), self.now);
        self.converted.outputs.push(output);
        self.journey.step(JourneyStep { step: Step::Undecodable, ..step });
    }
}

/// What retries may add to a delivery's record, as a part of the limit: an eighth, at most 32 KiB.
fn room_for_attempts(max_record: usize) -> usize {
    (max_record / 8).min(32 * 1024)
}

fn delivery(
    event: &Event,
    subscription: &str,
    destination: &DestinationName,
    rules: &RuleSet,
    now: DateTime<Utc>,
) -> Delivery {
    Delivery {
        event: event.clone(),
        body: None,
        subscription: subscription.to_owned(),
        destination: destination.to_string(),
        rule_set: rules.version().to_owned(),
        attempt: 0,
        generation: 0,
        routed: now,
        first_attempt: None,
        replay_id: String::new(),
        attempts: Vec::new(),
    }
}

fn failed(event: &Event, failure: &RuleFailure, rules: &RuleSet, now: DateTime<Utc>) -> DeadLetter {
    let reason = match failure.stage {
        Stage::Transform => DeadLetterReason::TransformFailed,
        Stage::Pattern | Stage::Condition => DeadLetterReason::ConditionFailed,
    };
    let delivery = delivery(event, failure.subscription.as_str(), &failure.destination, rules, now);
    dead_letter(delivery, reason, format!("{}: {}", failure.stage, failure.detail), now)
}

pub(crate) fn dead_letter(
    delivery: Delivery,
    reason: DeadLetterReason,
    detail: String,
    now: DateTime<Utc>,
) -> DeadLetter {
    DeadLetter {
        contents: Contents::Delivery(Box::new(delivery)),
        reason,
        detail,
        class: None,
        policy: None,
        time: now,
        dropped_body: None,
    }
}
