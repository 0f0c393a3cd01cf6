//! Committing the settled prefix of each partition.
//!
//! A commit's answer is waited for on a thread of its own, since librdkafka's binding tells it only to whoever waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::{GroupConsumer, Member};
use crate::lease::Part;
use crate::options::Options;
use crate::rebalance::{GroupNews, TopicPartition};

/// The commits of one consumer.
#[derive(Debug)]
pub(super) struct Committing {
    /// `None`: transactions commit by themselves.
    thread: Option<SyncSender<Vec<Place>>>,
    answering: Option<JoinHandle<()>>,
    interval: Duration,
    under_way: bool,
    last: Instant,
}

/// Where a group is to stand in a partition.
#[derive(Debug)]
struct Place {
    partition: TopicPartition,
    incarnation: String,
    offset: i64,
}

impl Committing {
    pub(super) fn start(options: &Options, consumer: &Arc<GroupConsumer>) -> std::io::Result<Self> {
        let (mut thread, mut answering) = (None, None);
        if !options.transactional {
            let (sender, receiver) = sync_channel(1);
            let consumer = consumer.clone();
            let name = "kafka-commits".to_owned();
            let spawned = std::thread::Builder::new().name(name).spawn(move || answer(&consumer, &receiver));
            (thread, answering) = (Some(sender), Some(spawned?));
        }
        Ok(Self {
            thread,
            answering,
            interval: options.commit_interval,
            under_way: false,
            last: Instant::now(),
        })
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }
}

impl Drop for Committing {
    /// The thread has a part in the consumer, which must not outlive the one that polls it.
    fn drop(&mut self) {
        self.thread = None;
        if let Some(Err(_)) = self.answering.take().map(JoinHandle::join) {
            tracing::error!("the thread of a consumer's commits panicked");
        }
    }
}

/// Commits what comes, one after the other, and tells what became of it.
fn answer(consumer: &Arc<GroupConsumer>, places: &Receiver<Vec<Place>>) {
    for places in places {
        let committed = commit(consumer, places);
        consumer.context().own.tell(GroupNews::Committed(committed));
    }
}

fn commit(consumer: &GroupConsumer, places: Vec<Place>) -> KafkaResult<Vec<(TopicPartition, i64)>> {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for Place { partition: (topic, partition), incarnation, offset } in &places {
        let mut element = list.add_partition(topic, *partition);
        element.set_metadata(incarnation);
        element.set_offset(Offset::Offset(*offset))?;
    }
    consumer.commit(&list, CommitMode::Sync)?;
    Ok(places.into_iter().map(|place| (place.partition, place.offset)).collect())
}

impl Member {
    /// Whether all that is settled under these leases is committed.
    pub(super) fn is_committed<'a>(&self, mut parts: impl Iterator<Item = &'a Arc<Part>>) -> bool {
        self.committing.thread.is_none() || parts.all(|part| part.uncommitted().is_none())
    }

    /// Commits what is settled, when the interval has passed or somebody waits for it.
    pub(super) fn commit(&mut self) {
        let urgent = self.revoking.is_some() || self.inbox.leaving.load(Ordering::Acquire);
        let due = urgent || self.committing.last.elapsed() >= self.committing.interval;
        let Some(thread) = self.committing.thread.as_ref().filter(|_| due && !self.committing.under_way)
        else {
            return;
        };
        let place = |(place, part): (&TopicPartition, &Arc<Part>)| {
            let offset = part.uncommitted()?;
            Some(Place { partition: place.clone(), incarnation: part.slot.incarnation.clone(), offset })
        };
        let places: Vec<_> = self.parts.iter().filter_map(place).collect();
        self.committing.last = Instant::now();
        self.committing.under_way = !places.is_empty() && thread.try_send(places).is_ok();
    }

    /// A commit was answered.
    pub(super) fn committed(&mut self, result: KafkaResult<Vec<(TopicPartition, i64)>>) {
        self.committing.under_way = false;
        match result {
            Ok(places) => {
                for (place, offset) in places {
                    if let Some(part) = self.parts.get(&place) {
                        part.committed.fetch_max(offset, Ordering::AcqRel);
                    }
                }
            }
            // What is uncommitted stays so, and the next commit repeats it.
            Err(error) => {
                tracing::debug!(group = self.group, %error, "committing; it is tried again");
                self.committing.last = Instant::now();
            }
        }
    }
}
