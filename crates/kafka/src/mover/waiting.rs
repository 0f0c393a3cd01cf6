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
