//! What becomes of a batch of events: deliveries, dead letters and a journey. Pure but for the time passed in.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trunkline_rules::{Allowances, Routed, Routing, RuleFailure, RuleSet, Stage};
use trunkline_sdk::broker::{ChannelName, Headers, Key, Outgoing, Received};
use trunkline_sdk::config::JourneyMode;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::core::{DeadLetter, DeadLetterReason, Delivery, DestinationName, Event, SubscriptionName};
use trunkline_sdk::trace::Span;

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
    /// The subscriptions that matched with their destinations, one for each delivery made, for the metrics.
    pub made: Vec<(SubscriptionName, DestinationName)>,
    /// How many of each.
    pub counts: JourneyCounts,
    /// The journey, until it is an output.
    steps: Vec<JourneyStep>,
    /// The steps of traces that end when the batch is handed over.
    spans: Vec<Span>,
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
        let mut converted = Converted::default();
        for record in batch {
            let foreign = inbound::is_foreign(record);
            if foreign {
                // Nobody counted it before, and what becomes of it is in the account.
                converted.counts.accepted += 1;
            }
            let made_before = converted.outputs.len();
            match inbound::read(record, foreign) {
                Ok(inbound) => {
                    if foreign {
                        converted.steps.push(JourneyStep::of(Step::Accepted, &inbound.event, now));
                    }
                    let routing = rules.route_within(&inbound.event, allowances);
                    self.route(rules, routing, &inbound, now, &mut converted);
                    self.trace(traced::record(record, Ok(&inbound.event)), made_before, &mut converted);
                }
                Err(detail) => {
                    let span = traced::record(record, Err(&detail));
                    self.bury(record, detail, now, &mut converted);
                    self.trace(span, made_before, &mut converted);
                }
            }
        }
        let mut steps = std::mem::take(&mut converted.steps);
        if self.journey == JourneyMode::Failures {
            steps.retain(|step| matches!(step.step, Step::Dead | Step::Undecodable));
        }
        let journey = JourneyRecord {
            instance: self.instance.clone(),
            service: "router".to_owned(),
            time: now,
            steps,
            counts: converted.counts,
        };
        let key = Bytes::copy_from_slice(self.instance.as_bytes());
        for record in journey.encode_fitting(self.max_record / 2) {
            converted.outputs.push(Outgoing::new(ChannelName::journey(), key.clone(), record));
        }
        converted
    }

    /// Lets what was made of a record follow its step.
    fn trace(&self, span: Option<Span>, made_before: usize, converted: &mut Converted) {
        let Some(span) = span else { return };
        for output in &mut converted.outputs[made_before..] {
            let (step, headers) = traced::output(&span, &output.channel);
            let carried = std::mem::replace(&mut output.headers, headers);
            // What barely fits goes on without this step rather than not at all.
            if output.size() > self.max_record {
                output.headers = carried;
            }
            converted.spans.push(step);
        }
        converted.spans.push(span);
    }

    fn route(
        &self,
        rules: &RuleSet,
        routing: Routing,
        inbound: &Inbound,
        now: DateTime<Utc>,
        converted: &mut Converted,
    ) {
        let event = &inbound.event;
        let counts = &mut converted.counts;
        if routing.matched.is_empty() && routing.failed.is_empty() {
            counts.filtered += 1;
            converted.steps.push(step(Step::Filtered, event, rules, now));
            return;
        }
        counts.routed += 1;
        counts.made += (routing.matched.len() + routing.failed.len()) as u64;
        for routed in routing.matched {
            let mut made = step(Step::Routed, event, rules, now);
            made.subscription = routed.subscription.to_string();
            made.destination = routed.destination.to_string();
            converted.steps.push(made);
            converted.made.push((routed.subscription.clone(), routed.destination.clone()));
            let output = self.deliver(inbound, routed, rules, now);
            match output {
                Ok(output) => converted.outputs.push(output),
                Err(dead) => {
                    let (output, step) = self.dead(*dead, inbound.key.clone(), &inbound.headers, now);
                    converted.counts.dead += 1;
                    converted.outputs.push(output);
                    converted.steps.push(step);
                }
            }
        }
        for failure in routing.failed {
            let dead = failed(event, &failure, rules, now);
            let (output, step) = self.dead(dead, inbound.key.clone(), &inbound.headers, now);
            converted.counts.dead += 1;
            converted.outputs.push(output);
            converted.steps.push(step);
            converted.failures.push(failure);
        }
    }

    /// The record of a delivery, or the dead letter it becomes when the engine can't carry it.
    fn deliver(
        &self,
        inbound: &Inbound,
        routed: Routed,
        rules: &RuleSet,
        now: DateTime<Utc>,
    ) -> Result<Outgoing, Box<DeadLetter>> {
        let channel = ChannelName::deliver(&routed.destination);
        let delivery =
            delivery(&inbound.event, &routed.subscription.to_string(), &routed.destination, rules, now);
        let delivery = Delivery { body: routed.body, ..delivery };
        let mut output = Outgoing::new(channel, inbound.key.clone(), delivery.encode());
        output.headers = inbound.headers.clone();
        // Retries add attempts to the record; leave room for them.
        let size = output.size() + room_for_attempts(self.max_record);
        if size <= self.max_record {
            return Ok(output);
        }
        let detail = format!("the delivery needs {size} bytes, the engine takes {}", self.max_record);
        Err(Box::new(dead_letter(delivery, DeadLetterReason::TooLarge, detail, now)))
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

    /// A record that is no event goes to `dead.router`, its bytes unchanged; the partition goes on.
    fn bury(&self, record: &Received, detail: String, now: DateTime<Utc>, converted: &mut Converted) {
        converted.counts.undecodable += 1;
        let dead = DeadLetter {
            contents: Contents::Malformed(record.value.clone()),
            reason: DeadLetterReason::Undecodable,
            detail,
            class: None,
            policy: None,
            time: now,
            dropped_body: None,
        };
        let (output, dead) = self.dead(dead, record.key.clone(), &carried(record), now);
        converted.outputs.push(output);
        converted.steps.push(JourneyStep { step: Step::Undecodable, ..dead });
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

fn step(step: Step, event: &Event, rules: &RuleSet, now: DateTime<Utc>) -> JourneyStep {
    JourneyStep { rule_set: rules.version().to_owned(), ..JourneyStep::of(step, event, now) }
}
