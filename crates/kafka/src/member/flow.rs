//! Room: a channel that has enough fetched is paused, never the polling.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use super::Member;
use crate::lease::Slot;
use crate::rebalance::TopicPartition;

/// Bytes fetched and not handed out, of all channels of an intake together, about.
const AHEAD_BYTES: usize = 64 << 20;
/// Of one channel at most, and at least.
const CHANNEL_BYTES: (usize, usize) = (1 << 20, 16 << 20);
/// How long a consumer of one channel waits for room before it pauses it. Pausing makes librdkafka throw away what it
/// fetched ahead, so it does not pay while records are being taken; waiting any longer would keep the group waiting for an
/// answer.
const CROWDED: Duration = Duration::from_millis(200);

impl Member {
    /// Pauses channels that have enough fetched, and lets those flow again that have room.
    pub(super) fn restrain(&mut self) {
        let slots = self.inbox.slots();
        let (least, most) = CHANNEL_BYTES;
        let bytes = (AHEAD_BYTES / slots.len().max(1)).clamp(least, most);
        let records = self.options.max_unsettled_records;
        let full = |slot: &Slot, parts: usize| slot.waiting.exceeds(records * parts / 4, bytes * parts / 4);
        if let [slot] = slots.as_slice() {
            let begun = Instant::now();
            while full(slot, 4) && begun.elapsed() < CROWDED && self.paused.is_empty() && !self.is_busy() {
                self.inbox.await_room(CROWDED / 8);
            }
        }
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (place, part) in &self.parts {
            let paused = self.paused.contains(place);
            if !paused && full(&part.slot, 4) {
                pause.push(place.clone());
            } else if paused && !full(&part.slot, 2) && !self.is_revoked(place) {
                resume.push(place.clone());
            }
        }
        self.pause(pause);
        if !resume.is_empty() {
            match crate::resume::resume(&self.consumer, &list(&resume)) {
                Ok(()) => resume.iter().for_each(|place| {
                    self.paused.remove(place);
                }),
                Err(error) => tracing::debug!(%error, "resuming partitions; it is tried again"),
            }
        }
    }

    pub(super) fn pause(&mut self, places: Vec<TopicPartition>) {
        if places.is_empty() {
            return;
        }
        match self.consumer.pause(&list(&places)) {
            Ok(()) => self.paused.extend(places),
            Err(error) => tracing::debug!(%error, "pausing partitions"),
        }
    }
}

/// Partitions as librdkafka wants them.
pub(super) fn list(places: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    list
}
