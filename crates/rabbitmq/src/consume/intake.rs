//! Taking records in: one client on many channels.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use trunkline_broker::{ChannelName, ConsumeError, GroupName, Intake, Intaken, Position, Receipt, Received};

use super::inbox::Inbox;
use super::lease::take_leases;
use super::partition::{Item, Partition};
use super::receipt::Token;
use super::slot::Slot;
use crate::core::Core;
use crate::error::RabbitFailure;
use crate::foreign;
use crate::sequence::published;
use crate::topology;

/// Records of one batch at most.
const BATCH_RECORDS: usize = 1000;
/// Bytes of one batch, about.
const BATCH_BYTES: usize = 4 << 20;

/// One consumer of a group.
#[derive(Debug)]
pub(crate) struct RabbitIntake {
    core: Arc<Core>,
    group: GroupName,
    member: String,
    inbox: Arc<Inbox>,
    /// By slot; a slot is never used again.
    slots: Vec<Option<Arc<Slot>>>,
    /// Slots that may have records.
    ready: BTreeSet<usize>,
    turn: usize,
}

impl RabbitIntake {
    pub(crate) fn new(core: Arc<Core>, group: GroupName) -> Self {
        Self {
            member: core.members.new_member(),
            core,
            group,
            inbox: Arc::default(),
            slots: Vec::new(),
            ready: BTreeSet::new(),
            turn: 0,
        }
    }

    /// Joins the group on more channels; on all or on none.
    pub(crate) async fn join(&mut self, names: &[ChannelName]) -> Result<(), ConsumeError> {
        let mut found = Vec::new();
        for name in names {
            let resolved = topology::resolve(&self.core, name).await;
            let channel = resolved.map_err(|error| ConsumeError::Fatal(error.into()))?;
            let channel = channel.ok_or_else(|| ConsumeError::UnknownChannel(name.clone()))?;
            if channel.group(&self.group).is_none() {
                let group = self.group.to_string();
                return Err(ConsumeError::UnknownGroup { channel: name.clone(), group });
            }
            if self.slot_of(name).is_none() {
                found.push(channel);
            }
        }
        for channel in found {
            if channel.name == ChannelName::events() {
                foreign::start(&self.core);
            }
            let (inbox, index) = (self.inbox.clone(), self.slots.len());
            let max_bytes = self.core.options.max_unsettled_bytes;
            let slot = Arc::new(Slot::new(channel, inbox, index, max_bytes));
            self.slots.push(Some(slot.clone()));
            let wanted = self.core.members.join(&self.member, &self.group, slot);
            take_leases(&self.core, wanted);
        }
        Ok(())
    }

    fn slot_of(&self, name: &ChannelName) -> Option<usize> {
        let found = |slot: &Option<Arc<Slot>>| slot.as_ref().is_some_and(|slot| slot.channel.name == *name);
        self.slots.iter().position(found)
    }

    fn leave(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index).and_then(Option::take) {
            slot.leave();
            let wanted = self.core.members.leave(&self.member, &slot.channel.name);
            take_leases(&self.core, wanted);
        }
    }

    /// What can be handed out now, of all channels.
    fn collect(&mut self) -> Vec<Received> {
        self.ready.append(&mut self.inbox.take_ready());
        let mut batch = Vec::new();
        let (mut records, mut bytes) = (BATCH_RECORDS, BATCH_BYTES);
        // Begin at another channel each time, so that none waits behind a busy one.
        self.turn = self.turn.wrapping_add(1);
        let from = self.turn % self.slots.len().max(1);
        let order: Vec<usize> = self.ready.range(from..).chain(self.ready.range(..from)).copied().collect();
        for index in order {
            if records == 0 || bytes == 0 {
                break;
            }
            self.ready.remove(&index);
            let Some(slot) = self.slots.get(index).and_then(Option::as_ref) else { continue };
            let Some(room) = slot.room().filter(|_| !slot.is_held()) else { continue };
            let before = batch.len();
            let handed = hand_out(slot, self.turn, records, room.min(bytes), &mut batch);
            records -= batch.len() - before;
            bytes = bytes.saturating_sub(handed);
            if slot.partitions().iter().any(|partition| partition.has_more()) {
                self.ready.insert(index);
            }
        }
        batch
    }
}

/// Hands out of a slot's partitions, beginning at another one each time; returns about how many bytes.
fn hand_out(slot: &Arc<Slot>, turn: usize, records: usize, bytes: usize, batch: &mut Vec<Received>) -> usize {
    let partitions = slot.partitions();
    let (mut left, mut bytes_left) = (records, bytes);
    for offset in 0..partitions.len() {
        let partition = &partitions[(turn + offset) % partitions.len()];
        let (session, taken) = partition.take(left, bytes_left);
        left -= taken.len();
        for (tag, item) in taken {
            let size = item.stored.size();
            bytes_left = bytes_left.saturating_sub(size);
            batch.push(received(slot, partition, session, tag, item));
        }
    }
    bytes - bytes_left
}

fn received(slot: &Arc<Slot>, partition: &Arc<Partition>, session: u64, tag: u64, item: Item) -> Received {
    let Item { stored, number, handed } = item;
    let token = Token { partition: partition.clone(), session, tag, share: slot.share(stored.size()) };
    Received {
        channel: slot.channel.name.clone(),
        position: Position { partition: partition.lease.partition, offset: number },
        key: stored.key.clone(),
        headers: stored.headers.clone(),
        value: stored.value.clone(),
        stored: stored.number.map_or(stored.published, published),
        redelivered: handed,
        receipt: Receipt::new(Box::new(token)),
    }
}

#[async_trait]
impl Intake for RabbitIntake {
    async fn next(&mut self) -> Result<Intaken, ConsumeError> {
        loop {
            if self.core.closing.is_cancelled() {
                return Err(ConsumeError::Fatal(RabbitFailure::Closed.into()));
            }
            if let Some(news) = self.inbox.take_news() {
                return Ok(news);
            }
            let batch = self.collect();
            if !batch.is_empty() {
                return Ok(Intaken::Batch(batch));
            }
            tokio::select! {
                () = self.inbox.notify.notified() => {}
                () = self.core.closing.cancelled() => {}
            }
        }
    }

    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError> {
        let index = self.slot_of(channel).ok_or_else(|| ConsumeError::UnknownChannel(channel.clone()))?;
        if let Some(slot) = &self.slots[index] {
            slot.hold(held);
        }
        Ok(())
    }

    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        self.join(channels).await
    }

    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        let mut indices = Vec::new();
        for name in channels {
            indices.push(self.slot_of(name).ok_or_else(|| ConsumeError::UnknownChannel(name.clone()))?);
        }
        indices.into_iter().for_each(|index| self.leave(index));
        Ok(())
    }
}

impl Drop for RabbitIntake {
    fn drop(&mut self) {
        (0..self.slots.len()).for_each(|index| self.leave(index));
    }
}
