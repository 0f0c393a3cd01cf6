//! The first records of a step's partition, waiting until they are due.

use std::collections::VecDeque;

use bytes::Bytes;
use trunkline_broker::Headers;

use crate::catalog::Channel;
use crate::delay::{DUE_HEADER, REST_HEADER, Wait};
use crate::publisher::Ready;
use crate::raw::Raw;
use crate::rebalance::TopicPartition;

/// Records fetched ahead of one partition, and their bytes.
const AHEAD: (usize, usize) = (500, 1 << 20);

/// How many of a partition's records are under way to their next place.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) place: TopicPartition,
    pub(super) count: usize,
}

/// The first records of a partition.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    records: VecDeque<Delayed>,
    bytes: usize,
    pub(super) paused: bool,
}

#[derive(Debug)]
struct Delayed {
    offset: i64,
    raw: Raw,
    /// `None`: it does not say; so it goes on at once.
    wait: Option<Wait>,
}

impl Waiting {
    pub(super) fn push(&mut self, offset: i64, raw: Raw) {
        if self.records.back().is_some_and(|last| last.offset >= offset) {
            return;
        }
        self.bytes += raw.len();
        let wait = read_wait(&raw.headers());
        self.records.push_back(Delayed { offset, raw, wait });
    }

    /// When the first one is due, in milliseconds since 1970.
    pub(super) fn due(&self) -> Option<u64> {
        self.records.front().map(Delayed::due)
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= AHEAD.0 || self.bytes >= AHEAD.1
    }

    pub(super) fn is_low(&self) -> bool {
        self.records.len() <= AHEAD.0 / 4 && self.bytes <= AHEAD.1 / 4
    }

    /// Puts what is due, at most so many records, into a batch. Returns how many, if any.
    pub(super) fn carry(
        &self,
        channel: &Channel,
        now: u64,
        most: usize,
        batch: &mut Vec<Ready>,
    ) -> Option<usize> {
        let due = self.records.iter().take(most).take_while(|record| record.due() <= now);
        let before = batch.len();
        batch.extend(due.map(|record| record.next(channel)));
        Some(batch.len() - before).filter(|count| *count > 0)
    }

    /// The first records have reached their next place. Returns the offset after them.
    pub(super) fn pop(&mut self, count: usize) -> Option<i64> {
        let mut position = None;
        for record in self.records.drain(..count.min(self.records.len())) {
            self.bytes -= record.raw.len();
            position = Some(record.offset + 1);
        }
        position
    }
}

impl Delayed {
    fn due(&self) -> u64 {
        self.wait.map_or(0, |wait| wait.leaves())
    }

    /// The record as it goes to its next step, or to its channel.
    fn next(&self, channel: &Channel) -> Ready {
        let mut headers = self.raw.headers();
        headers.retain(|(name, _)| name != DUE_HEADER && name != REST_HEADER);
        let (mut topic, mut partition) = (&channel.topic, None);
        if let Some((step, wait)) = self.wait.and_then(|wait| wait.next()) {
            let (due, rest) = wait.write();
            headers.push((DUE_HEADER.to_owned(), Bytes::from(due)));
            headers.push((REST_HEADER.to_owned(), Bytes::from(rest)));
            (topic, partition) = (&channel.delay_topic, Some(i32::from(step)));
        }
        Ready { topic: topic.clone(), partition, key: self.raw.key(), headers, value: Some(self.raw.value()) }
    }
}

fn read_wait(headers: &Headers) -> Option<Wait> {
    let value = |name: &str| headers.iter().rfind(|(header, _)| header == name).map(|(_, value)| value);
    Wait::read(value(DUE_HEADER)?, value(REST_HEADER)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use trunkline_broker::{ChannelName, ChannelSpec, Keep};

    use super::*;
    use crate::raw::raw_with;

    fn channel() -> Channel {
        let name = ChannelName::parse("deliver.crm").unwrap();
        let spec =
            ChannelSpec { name, partitions: 1, groups: vec![], keep: Keep::UntilSettled, max_record: 100 };
        Channel::declared("shop.", &spec, "life".to_owned())
    }

    fn delayed(wait: Wait) -> Raw {
        let (due, rest) = wait.write();
        let headers = [("a", b"b".as_slice()), (DUE_HEADER, due.as_bytes()), (REST_HEADER, rest.as_bytes())];
        raw_with(&headers, b"key", b"value")
    }

    #[test]
    fn a_record_goes_on_when_it_is_due_and_arrives_as_it_came() {
        let channel = channel();
        // Three seconds are two and one.
        let (step, wait) = Wait::begin(Duration::from_secs(3), 10_000);
        let mut waiting = Waiting::default();
        waiting.push(7, delayed(wait));
        assert_eq!((step, waiting.due()), (3, Some(12_000)));
        let mut batch = Vec::new();
        assert_eq!(waiting.carry(&channel, 11_999, 10, &mut batch), None);
        assert_eq!(waiting.carry(&channel, 12_000, 10, &mut batch), Some(1));
        let on = batch.remove(0);
        assert_eq!((&*on.topic, on.partition), ("shop._delay.deliver.crm", Some(2)));
        assert_eq!(waiting.pop(1), Some(8));

        let headers: Vec<_> =
            on.headers.iter().map(|(name, value)| (name.as_str(), value.as_ref())).collect();
        waiting.push(3, raw_with(&headers, b"key", b"value"));
        assert_eq!(waiting.due(), Some(13_000));
        assert_eq!(waiting.carry(&channel, 13_000, 10, &mut batch), Some(1));
        let arrived = batch.remove(0);
        assert_eq!((&*arrived.topic, arrived.partition), ("shop.deliver.crm", None));
        assert_eq!(arrived.headers, [("a".to_owned(), Bytes::from("b"))]);
        assert_eq!((arrived.key, arrived.value), (Bytes::from("key"), Some(Bytes::from("value"))));
    }

    #[test]
    fn the_first_that_is_not_due_holds_back_those_behind_it() {
        let mut waiting = Waiting::default();
        for (offset, now) in [(0, 0), (1, 5_000), (2, 0)] {
            waiting.push(offset, delayed(Wait::begin(Duration::from_secs(1), now).1));
        }
        waiting.push(3, raw_with(&[], b"", b"says nothing"));
        let mut batch = Vec::new();
        assert_eq!(waiting.carry(&channel(), 2_000, 10, &mut batch), Some(1));
        assert_eq!(waiting.carry(&channel(), 9_000, 10, &mut batch), Some(4));
        assert_eq!(waiting.carry(&channel(), 9_000, 2, &mut batch), Some(2));
        assert_eq!(waiting.pop(2), Some(2));
        assert_eq!(waiting.pop(0), None);
    }
}
