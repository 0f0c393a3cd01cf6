//! One batch of a replay: the records of some items, and what became of them.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use trunkline_rules::RuleSet;
use trunkline_sdk::accepted::accepted;
use trunkline_sdk::broker::{ChannelName, Outgoing, PublishError, PublishFailure};
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::core::{Delivery, DestinationName, Event};
use trunkline_sdk::store::{ItemOutcome, NewReplay, ReplayItem};
use trunkline_sdk::trace::Span;

use super::render::{Life, NewLife, Sources};
use crate::traced;

/// Records to publish together, and whose they are.
pub(super) struct Batch {
    /// Item after item, the journey last.
    pub(super) outgoing: Vec<Outgoing>,
    /// Which item each record is of, as an index into `outcomes`; the journey's are of none.
    owners: Vec<Option<usize>>,
    /// What is to be marked, by the item's position, once all is published.
    outcomes: Vec<(u64, ItemOutcome)>,
    /// Of all records.
    bytes: usize,
    steps: Vec<JourneyStep>,
    counts: JourneyCounts,
    /// The steps of traces that end with the batch.
    spans: Vec<Span>,
}

/// What making a batch needs.
pub(super) struct Maker<'a> {
    pub(super) replay: &'a NewReplay,
    pub(super) rules: &'a RuleSet,
    pub(super) sources: &'a Sources,
    pub(super) instance: &'a str,
    /// The longest record the engine takes, in bytes.
    pub(super) max_record: usize,
    pub(super) now: DateTime<Utc>,
}

impl Maker<'_> {
    /// The records of `items` with their journey; of as many as are needed for `max_bytes`, at least of one. Blocks for as
    /// long as transforms run.
    pub(super) fn batch(&self, items: &[ReplayItem], max_bytes: usize) -> Batch {
        let mut batch = Batch {
            outgoing: Vec::with_capacity(items.len() + 1),
            owners: Vec::with_capacity(items.len()),
            outcomes: Vec::with_capacity(items.len()),
            bytes: 0,
            steps: Vec::with_capacity(items.len()),
            counts: JourneyCounts::default(),
            spans: Vec::new(),
        };
        for item in items {
            let life = NewLife {
                destination: &self.replay.destination,
                generation: item.generation,
                replay_id: &self.replay.id,
                as_it_was: self.replay.as_it_was,
                now: self.now,
            };
            let outcome = match life.of(&item.dead_letter, self.rules, self.sources) {
                Ok(Life::Delivery(delivery)) => self.deliver(&mut batch, &delivery),
                Ok(Life::Events(events)) => self.accept(&mut batch, &events),
                Err(reason) => Err(reason),
            };
            let outcome = outcome.map_or_else(ItemOutcome::Skipped, |()| ItemOutcome::Sent);
            batch.outcomes.push((item.position, outcome));
            if batch.bytes >= max_bytes {
                break;
            }
        }
        self.journal(&mut batch);
        batch
    }

    fn deliver(&self, batch: &mut Batch, delivery: &Delivery) -> Result<(), String> {
        let name = DestinationName::parse(&delivery.destination).map_err(|error| error.to_string())?;
        let mut outgoing =
            Outgoing::new(ChannelName::deliver(&name), delivery.event.key(), delivery.encode());
        batch.spans.extend(traced::replayed(&mut outgoing, &delivery.event, &self.replay.id));
        self.push(batch, vec![outgoing])?;
        batch.counts.replayed += 1;
        batch.steps.push(JourneyStep::of_delivery(Step::Replayed, delivery, self.now));
        Ok(())
    }

    /// The events of a webhook are accepted now, as the gateway would have done.
    fn accept(&self, batch: &mut Batch, events: &[Event]) -> Result<(), String> {
        let outgoing = events.iter().map(|event| {
            let mut outgoing = accepted(event, "console");
            batch.spans.extend(traced::replayed(&mut outgoing, event, &self.replay.id));
            outgoing
        });
        let outgoing = outgoing.collect();
        self.push(batch, outgoing)?;
        for event in events {
            batch.counts.accepted += 1;
            let step = JourneyStep::of(Step::Accepted, event, self.now);
            batch.steps.push(JourneyStep { replay_id: self.replay.id.clone(), ..step });
        }
        Ok(())
    }

    /// All of an item's records or none. One that is too large is known before anything is published, so that the
    /// journey says what really happened.
    fn push(&self, batch: &mut Batch, records: Vec<Outgoing>) -> Result<(), String> {
        if let Some(size) = records.iter().map(Outgoing::size).find(|size| *size > self.max_record) {
            return Err(format!("its record needs {size} bytes, the engine takes {}", self.max_record));
        }
        batch.bytes += records.iter().map(Outgoing::size).sum::<usize>();
        batch.owners.extend(records.iter().map(|_| Some(batch.outcomes.len())));
        batch.outgoing.extend(records);
        Ok(())
    }

    fn journal(&self, batch: &mut Batch) {
        if batch.steps.is_empty() {
            return;
        }
        let (instance, service) = (self.instance.to_owned(), "console".to_owned());
        let steps = std::mem::take(&mut batch.steps);
        let record = JourneyRecord { instance, service, time: self.now, steps, counts: batch.counts };
        let key = Bytes::copy_from_slice(self.instance.as_bytes());
        for record in record.encode_fitting(self.max_record / 2) {
            batch.outgoing.push(Outgoing::new(ChannelName::journey(), key.clone(), record));
            batch.owners.push(None);
        }
    }
}

impl Batch {
    /// The records, taken out.
    pub(super) fn take(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// Of how many items it is, and the bytes of their records.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.outcomes.len(), self.bytes)
    }

    /// What is to be marked after a publish. An item of which a record may not be stored is not among it and stays pending;
    /// one of which a record never can be stored is skipped.
    pub(super) fn outcomes(self, published: Result<(), PublishError>) -> Vec<(u64, ItemOutcome)> {
        let Err(error) = published else { return self.outcomes };
        let mut outcomes: Vec<Option<(u64, ItemOutcome)>> = self.outcomes.into_iter().map(Some).collect();
        let (never, not_now): (Vec<_>, Vec<_>) = error.failures.into_iter().partition(|failed| {
            matches!(failed.failure, PublishFailure::TooLarge { .. } | PublishFailure::Unroutable(_))
        });
        let owner = |index: usize| self.owners.get(index).copied().flatten();
        for failed in never {
            let outcome = owner(failed.index).and_then(|owner| outcomes.get_mut(owner)?.as_mut());
            if let Some((_, outcome)) = outcome {
                *outcome = ItemOutcome::Skipped(failed.failure.to_string());
            }
        }
        for failed in not_now {
            // The journey's own records are not published again alone: that would count the others twice.
            if let Some(outcome) = owner(failed.index).and_then(|owner| outcomes.get_mut(owner)) {
                *outcome = None;
            }
        }
        outcomes.into_iter().flatten().collect()
    }
}
