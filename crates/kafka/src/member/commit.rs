//! Committing the settled prefix of each partition.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::Member;
use crate::lease::Part;
use crate::options::Options;
use crate::rebalance::TopicPartition;

/// A commit that was not answered in this time is forgotten, and another one sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which commit is under way.
#[derive(Debug)]
pub(super) struct Committing {
    /// Transactions commit by themselves.
    enabled: bool,
    interval: Duration,
    sent: Option<Instant>,
    last: Instant,
}

impl Committing {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            enabled: !options.transactional,
            interval: options.commit_interval,
            sent: None,
            last: Instant::now(),
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.sent.is_some()
    }
}

impl Member {
    /// Whether all that is settled under these leases is committed.
    pub(super) fn is_committed<'a>(&self, mut parts: impl Iterator<Item = &'a Arc<Part>>) -> bool {
        !self.committing.enabled || parts.all(|part| part.uncommitted().is_none())
    }

    /// Commits what is settled, when the interval has passed or somebody waits for it.
    pub(super) fn commit(&mut self) {
        let urgent = self.revoking.is_some() || self.inbox.leaving.load(Ordering::Acquire);
        if self.committing.sent.is_some_and(|sent| sent.elapsed() < PATIENCE)
            || !self.committing.enabled
            || (!urgent && self.committing.last.elapsed() < self.committing.interval)
        {
            return;
        }
        self.committing.last = Instant::now();
        let mut list = TopicPartitionList::new();
        for ((topic, partition), part) in &self.parts {
            if let Some(position) = part.uncommitted() {
                let mut element = list.add_partition(topic, *partition);
                element.set_metadata(&part.slot.incarnation);
                // An offset that a message came from can be set.
                drop(element.set_offset(Offset::Offset(position)));
            }
        }
        if list.count() == 0 {
            return;
        }
        match self.consumer.commit(&list, CommitMode::Async) {
            Ok(()) => self.committing.sent = Some(Instant::now()),
            Err(error) => tracing::debug!(group = self.group, %error, "committing; it is tried again"),
        }
    }

    /// A commit was answered.
    pub(super) fn committed(&mut self, result: KafkaResult<()>, offsets: Vec<(TopicPartition, i64)>) {
        self.committing.sent = None;
        if let Err(error) = result {
            // The positions are still uncommitted, so the next commit repeats it.
            tracing::debug!(group = self.group, %error, "committing; it is tried again");
            return;
        }
        for (place, offset) in offsets {
            if let Some(part) = self.parts.get(&place) {
                part.committed.fetch_max(offset, Ordering::AcqRel);
            }
        }
    }
}
