//! A journey record, written step by step without building the steps.

use bytes::{BufMut, Bytes};
use chrono::{DateTime, Utc};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use trunkline_proto::bus::v1 as bus;

use super::{JourneyCounts, JourneyStep, Step};
use crate::event::Event;
use crate::timestamp;

/// The numbers of the fields of a record and of a step.
mod field {
    pub(super) const STEPS: u32 = 4;
    pub(super) const COUNTS: u32 = 5;
    pub(super) const STEP: u32 = 1;
    pub(super) const TIME: u32 = 2;
    pub(super) const SOURCE: u32 = 3;
    pub(super) const ID: u32 = 4;
    pub(super) const KEY: u32 = 5;
    pub(super) const SUBSCRIPTION: u32 = 6;
    pub(super) const DESTINATION: u32 = 7;
    pub(super) const RULE_SET: u32 = 11;
    pub(super) const EVENT_TYPE: u32 = 14;
}

/// Writes the records of one batch.
#[derive(Debug)]
pub struct JourneyWriter {
    /// What every record begins with: instance, service and time.
    head: Vec<u8>,
    /// The time, as a field of a step.
    time: Vec<u8>,
    most: usize,
    records: Vec<Bytes>,
    record: Vec<u8>,
    step: Vec<u8>,
}

impl JourneyWriter {
    /// Of what happens at `time`; no record is longer than `most` bytes, as far as single steps allow it.
    pub fn new(instance: &str, service: &str, time: DateTime<Utc>, most: usize) -> Self {
        let stamp = timestamp::to_proto(time);
        let head = bus::JourneyRecord {
            instance: instance.to_owned(),
            service: service.to_owned(),
            time: Some(stamp),
            ..bus::JourneyRecord::default()
        };
        let head = head.encode_to_vec();
        let time = bus::JourneyStep { time: Some(stamp), ..bus::JourneyStep::default() }.encode_to_vec();
        Self { record: head.clone(), head, time, most, records: Vec::new(), step: Vec::new() }
    }

    /// A step of an event, as [`JourneyStep::of`] with these; the time is the record's.
    pub fn event(
        &mut self,
        step: Step,
        event: &Event,
        subscription: &str,
        destination: &str,
        rule_set: &str,
    ) {
        self.step.clear();
        encode_key(field::STEP, WireType::Varint, &mut self.step);
        encode_varint(step.to_wire() as u64, &mut self.step);
        debug_assert_eq!(u32::from(self.time[0] >> 3), field::TIME);
        self.step.extend_from_slice(&self.time);
        let key = event.key();
        let key = String::from_utf8_lossy(&key);
        text(field::SOURCE, event.source(), &mut self.step);
        text(field::ID, event.id(), &mut self.step);
        text(field::KEY, &key, &mut self.step);
        text(field::SUBSCRIPTION, subscription, &mut self.step);
        text(field::DESTINATION, destination, &mut self.step);
        text(field::RULE_SET, rule_set, &mut self.step);
        text(field::EVENT_TYPE, event.kind(), &mut self.step);
        self.append();
    }

    /// Any step.
    pub fn step(&mut self, step: JourneyStep) {
        self.step.clear();
        step.into_wire().encode_raw(&mut self.step);
        self.append();
    }

    /// The records. The counts stand in the last.
    pub fn finish(mut self, counts: JourneyCounts) -> Vec<Bytes> {
        let counts = counts.to_wire().encode_to_vec();
        if self.record.len() + framed(counts.len()) > self.most && self.record.len() > self.head.len() {
            self.next();
        }
        frame(field::COUNTS, &counts, &mut self.record);
        self.records.push(self.record.into());
        self.records
    }

    fn append(&mut self) {
        let begun = self.record.len() > self.head.len();
        if begun && self.record.len() + framed(self.step.len()) > self.most {
            self.next();
        }
        frame(field::STEPS, &self.step, &mut self.record);
    }

    fn next(&mut self) {
        let record = std::mem::replace(&mut self.record, self.head.clone());
        self.records.push(record.into());
    }
}

/// An empty text is left out, as protobuf has it.
fn text(number: u32, text: &str, into: &mut Vec<u8>) {
    if !text.is_empty() {
        frame(number, text.as_bytes(), into);
    }
}

fn frame(number: u32, bytes: &[u8], into: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, into);
    encode_varint(bytes.len() as u64, into);
    into.put_slice(bytes);
}

/// The bytes of a field of so many.
fn framed(bytes: usize) -> usize {
    1 + encoded_len_varint(bytes as u64) + bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::delivery::tests::{delivery, time};
    use crate::journey::JourneyRecord;

    fn whole() -> JourneyRecord {
        let event = delivery().event;
        let routed = JourneyStep {
            subscription: "big-orders".to_owned(),
            destination: "crm".to_owned(),
            rule_set: "abc".to_owned(),
            ..JourneyStep::of(Step::Routed, &event, time(1))
        };
        let filtered =
            JourneyStep { rule_set: "abc".to_owned(), ..JourneyStep::of(Step::Filtered, &event, time(1)) };
        let dead = JourneyStep::of_delivery(Step::Dead, &delivery(), time(1));
        JourneyRecord {
            instance: "a".to_owned(),
            service: "router".to_owned(),
            time: time(1),
            steps: vec![routed, filtered, dead],
            counts: JourneyCounts { routed: 1, filtered: 1, ..JourneyCounts::default() },
        }
    }

    fn written(most: usize) -> Vec<Bytes> {
        let (whole, event) = (whole(), delivery().event);
        let mut writer = JourneyWriter::new("a", "router", time(1), most);
        writer.event(Step::Routed, &event, "big-orders", "crm", "abc");
        writer.event(Step::Filtered, &event, "", "", "abc");
        writer.step(whole.steps[2].clone());
        writer.finish(whole.counts)
    }

    #[test]
    fn it_writes_what_a_record_says_of_itself() {
        assert_eq!(written(1 << 20), [whole().encode()]);
    }

    #[test]
    fn a_record_too_long_is_split_and_its_counts_stand_once() {
        let parts = written(180);
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= 180));
        let parts: Vec<_> = parts.into_iter().map(|part| JourneyRecord::decode(part).unwrap()).collect();
        assert_eq!(parts.iter().flat_map(|part| part.steps.clone()).collect::<Vec<_>>(), whole().steps);
        assert_eq!(parts.iter().map(|part| part.counts.routed).sum::<u64>(), 1);
    }
}
