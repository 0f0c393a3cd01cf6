//! Leases come and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use trunkline_broker::{ConsumeError, Intaken, Start};

use super::Member;
use super::flow::list;
use crate::lease::{Part, Slot};
use crate::rebalance::{GroupNews, TopicPartition, take_nothing};

/// How long to wait before the coordinator is asked again what was committed.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Leases that are being given up.
#[derive(Debug)]
pub(super) struct Leaving {
    places: Vec<TopicPartition>,
    /// Until then receipts may be settled.
    deadline: Instant,
    /// Settling is over, and until then the last commit may take.
    commit_until: Option<Instant>,
}

/// Where a lease begins.
struct Begin {
    slot: Option<Arc<Slot>>,
    place: TopicPartition,
    offset: i64,
    committed: Option<i64>,
}

impl Member {
    /// What the coordinator said since the last look.
    pub(super) fn hear(&mut self) {
        while let Some(news) = self.consumer.context().own.next() {
            match news {
                GroupNews::Assigned(places) => {
                    tracing::debug!(group = self.group, ?places, "assigned");
                    self.assigning = Some(places);
                    self.assign_after = Instant::now();
                }
                GroupNews::Revoked { places, lost } => {
                    tracing::debug!(group = self.group, ?places, lost, "revoked");
                    self.revoke(places, lost);
                }
                GroupNews::Committed(result) => self.committed(result),
            }
        }
    }

    /// Takes what was assigned, each partition where the group has its place, or where its life begins.
    pub(super) fn take_leases(&mut self) {
        if self.assign_after > Instant::now() || self.inbox.leaving.load(Ordering::Acquire) {
            return;
        }
        let Some(places) = self.assigning.take() else { return };
        let begins = match self.begins(&places) {
            Ok(begins) => begins,
            Err(error) => {
                tracing::debug!(group = self.group, %error, "asking for the group's place; it is asked again");
                self.assigning = Some(places);
                self.assign_after = Instant::now() + ASK_AGAIN;
                return;
            }
        };
        let mut list = TopicPartitionList::with_capacity(begins.len());
        for begin in &begins {
            let (topic, partition) = &begin.place;
            // An offset the broker told can be set.
            drop(list.add_partition_offset(topic, *partition, Offset::Offset(begin.offset)));
        }
        if let Err(error) = self.consumer.incremental_assign(&list) {
            tracing::warn!(group = self.group, %error, "an assignment could not be taken");
            return;
        }
        let mut asleep = TopicPartitionList::new();
        for begin in begins.iter().filter(|begin| self.asleep.remove(&begin.place)) {
            let (topic, partition) = &begin.place;
            drop(asleep.add_partition_offset(topic, *partition, Offset::Offset(begin.offset)));
        }
        if asleep.count() > 0
            && let Err(error) = crate::resume::resume(&self.consumer, &asleep)
        {
            tracing::debug!(group = self.group, %error, "resuming partitions");
        }
        begins.into_iter().for_each(|begin| self.begin(begin));
    }

    fn begin(&mut self, begin: Begin) {
        let Begin { slot: Some(slot), place, offset, committed } = begin else { return };
        let epoch = self.epochs.fetch_add(1, Ordering::AcqRel) + 1;
        let partition = u16::try_from(place.1).unwrap_or(u16::MAX);
        let part = Arc::new(Part::new(slot, partition, epoch, offset, committed, self.from));
        self.paused.remove(&place);
        self.parts.insert(place, part.clone());
        self.inbox.tell(Ok(Intaken::Assigned(part.lease())));
        self.inbox.add_part(part);
    }

    fn begins(&self, places: &[TopicPartition]) -> KafkaResult<Vec<Begin>> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let timeout = self.options.request_timeout;
        let committed = self.consumer.committed_offsets(list(places), timeout)?;
        let slots = self.inbox.slots();
        let mut begins = Vec::with_capacity(places.len());
        for element in committed.elements() {
            element.error()?;
            let (topic, partition) = (element.topic(), element.partition());
            let slot = slots.iter().find(|slot| &*slot.topic == topic).cloned();
            let same_life = slot.as_ref().is_some_and(|slot| slot.incarnation == element.metadata());
            let committed = match element.offset() {
                Offset::Offset(offset) if same_life => Some(offset),
                _ => None,
            };
            let offset = match committed {
                Some(offset) => offset,
                None => {
                    let (low, high) = self.consumer.fetch_watermarks(topic, partition, timeout)?;
                    if self.from == Start::Newest { high } else { low }
                }
            };
            begins.push(Begin { slot, place: (topic.to_owned(), partition), offset, committed });
        }
        Ok(begins)
    }

    fn revoke(&mut self, places: Vec<TopicPartition>, lost: bool) {
        if lost {
            // Others have them already; what was not committed comes to them again.
            places.iter().for_each(|place| self.end(place));
            self.unassign(&places);
            return;
        }
        let deadline = Instant::now() + self.options.grace();
        for part in places.iter().filter_map(|place| self.parts.get(place)) {
            if !part.leave() {
                self.inbox.tell(Ok(Intaken::Revoking(part.lease(), deadline)));
            }
        }
        self.pause(places.clone());
        self.revoking = Some(Leaving { places, deadline, commit_until: None });
    }

    pub(super) fn is_revoked(&self, place: &TopicPartition) -> bool {
        self.revoking.as_ref().is_some_and(|leaving| leaving.places.contains(place))
    }

    /// Gives up revoked leases that are drained, or whose time is over, once their settled prefix is committed.
    pub(super) fn end_leases(&mut self) {
        let Some(mut leaving) = self.revoking.take() else { return };
        if !self.is_ended(&mut leaving) {
            self.revoking = Some(leaving);
            return;
        }
        leaving.places.iter().for_each(|place| self.end(place));
        self.unassign(&leaving.places);
    }

    fn is_ended(&self, leaving: &mut Leaving) -> bool {
        let parts: Vec<_> = leaving.places.iter().filter_map(|place| self.parts.get(place)).collect();
        let until = match leaving.commit_until {
            Some(until) => until,
            None => {
                if leaving.deadline > Instant::now() && !parts.iter().all(|part| part.is_drained()) {
                    return false;
                }
                parts.iter().for_each(|part| part.lose());
                // A coordinator that restarts takes some seconds, and what is not committed comes again. The group would
                // wait as long for a consumer that died.
                *leaving.commit_until.insert(Instant::now() + self.options.session_timeout)
            }
        };
        self.is_committed(parts.into_iter()) || until <= Instant::now()
    }

    fn end(&mut self, place: &TopicPartition) {
        if self.paused.remove(place) {
            self.asleep.insert(place.clone());
        }
        if let Some(part) = self.parts.remove(place) {
            part.lose();
            self.inbox.remove_part(&part);
            self.inbox.tell(Ok(Intaken::Lost(part.lease())));
        }
    }

    fn unassign(&self, places: &[TopicPartition]) {
        if let Err(error) = self.consumer.incremental_unassign(&list(places)) {
            tracing::debug!(group = self.group, %error, "giving partitions up");
        }
    }

    /// The intake was dropped. Ends all leases as if they were revoked; returns whether that is done.
    pub(super) fn leave(&mut self) -> bool {
        if self.is_left {
            if self.revoking.is_none() {
                self.say_goodbye();
            }
            return self.revoking.is_none();
        }
        if self.revoking.is_none() {
            self.is_left = true;
            let places: Vec<_> = self.parts.keys().cloned().collect();
            places.iter().filter_map(|place| self.parts.get(place)).for_each(|part| {
                part.leave();
            });
            let deadline = Instant::now() + self.options.grace();
            self.pause(places.clone());
            self.revoking = Some(Leaving { places, deadline, commit_until: None });
        }
        false
    }

    /// Answers what the coordinator said and is not done yet: nothing is taken any more, and what was to be given up is.
    /// A consumer whose coordinator waits for an answer can't be closed.
    pub(super) fn answer_all(&mut self) {
        self.hear();
        self.consumer.context().own.close();
        if let Some(leaving) = self.revoking.take() {
            self.unassign(&leaving.places);
        }
        if self.assigning.take().is_some()
            && let Err(error) = take_nothing(&self.consumer)
        {
            tracing::debug!(group = self.group, %error, "an assignment is not answered");
        }
    }

    /// Makes sure that the coordinator will hear the goodbye, which closing sends only over a connection that stands;
    /// else the group would wait for this consumer's session to end.
    fn say_goodbye(&mut self) {
        self.answer_all();
        let topics: Vec<_> =
            self.inbox.slots().iter().map(|slot| (slot.topic.to_string(), 0)).take(1).collect();
        if !topics.is_empty()
            && let Err(error) = self.consumer.committed_offsets(list(&topics), self.options.session_timeout)
        {
            tracing::debug!(group = self.group, %error, "the coordinator does not hear the goodbye");
        }
    }

    /// Fetches partitions from another offset. One whose offset was refused can't seek; it is given up and taken anew.
    pub(super) fn restart(&mut self) {
        for (place, offset) in std::mem::take(&mut self.restarting) {
            if !self.parts.contains_key(&place) || self.is_revoked(&place) {
                continue;
            }
            let mut begin = TopicPartitionList::new();
            let placed = begin.add_partition_offset(&place.0, place.1, Offset::Offset(offset));
            let restarted = placed
                .and_then(|()| self.consumer.incremental_unassign(&list(std::slice::from_ref(&place))))
                .and_then(|()| self.consumer.incremental_assign(&begin));
            if let Err(error) = restarted {
                let (topic, partition) = &place;
                tracing::debug!(topic, partition, %error, "beginning a partition anew; it is tried again");
                self.restarting.push((place, offset));
            }
        }
    }

    /// A fetch was refused because its offset is not there.
    pub(super) fn out_of_range(&mut self) {
        let parts: Vec<_> = self.parts.iter().map(|(place, part)| (place.clone(), part.clone())).collect();
        for ((topic, partition), part) in parts {
            let range = self.consumer.fetch_watermarks(&topic, partition, self.options.request_timeout);
            let Ok((low, high)) = range else { continue };
            let at = part.fetched();
            if (low..=high).contains(&at) {
                continue;
            }
            // Beyond the end: the topic was made anew, or a replica that had less took over. All there is now is new to
            // the group. Before the beginning is only harmless for a group that had no place yet.
            if at > high || part.is_untouched() {
                tracing::warn!(
                    topic,
                    partition,
                    at,
                    low,
                    high,
                    "the partition is another one than before; it is read from its beginning"
                );
                part.restart(low);
                self.restarting.push(((topic, partition), low));
                continue;
            }
            let detail = format!(
                "partition {partition} of topic `{topic}` begins at offset {low}, but group `{}` has only settled up to {at}: \
                 {} records were deleted from outside before they were settled; find out what deleted them (retention.ms and \
                 retention.bytes must be -1), then set the group's offset to go on after the gap",
                self.group,
                low - at
            );
            let channel = part.slot.channel.clone();
            self.inbox.tell(Err(ConsumeError::Damaged { channel, detail }));
        }
    }
}
