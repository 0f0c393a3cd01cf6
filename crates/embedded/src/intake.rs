//! Taking records in: one client on many channels.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use trunkline_broker::{ChannelName, ConsumeError, GroupName, Intake, Intaken, Position, Receipt, Received};

use crate::catalog::Channel;
use crate::clock::time;
use crate::core::Core;
use crate::error::EngineError;
use crate::group::{Group, Member};
use crate::inbox::{Budget, Inbox};
use crate::reader::{Part, Read, SlotPlan};
use crate::receipt::Token;

/// Records of one batch at most.
const BATCH_RECORDS: usize = 1000;
/// Bytes of one batch, about.
const BATCH_BYTES: usize = 4 << 20;

type Answer = oneshot::Receiver<Result<Vec<Part>, EngineError>>;

/// One consumer of a group.
#[derive(Debug)]
pub(crate) struct EmbeddedIntake {
    core: Arc<Core>,
    group: GroupName,
    member: u64,
    inbox: Arc<Inbox>,
    /// By slot; a slot is never used again.
    slots: Vec<Option<Slot>>,
    /// Slots that may have records.
    ready: BTreeSet<usize>,
    /// A read under way. It outlives a dropped `next`.
    reading: Option<Answer>,
    closed: watch::Receiver<bool>,
    turn: usize,
}

#[derive(Debug)]
struct Slot {
    channel: Arc<Channel>,
    group: Arc<Group>,
    budget: Arc<Budget>,
    held: bool,
    /// Its damage was reported.
    reported: bool,
}

impl EmbeddedIntake {
    pub(crate) fn new(core: Arc<Core>, group: GroupName) -> Self {
        Self {
            member: core.next_member(),
            closed: core.closed.subscribe(),
            core,
            group,
            inbox: Arc::default(),
            slots: Vec::new(),
            ready: BTreeSet::new(),
            reading: None,
            turn: 0,
        }
    }

    /// Joins the group on more channels; on all or on none.
    pub(crate) fn join(&mut self, names: &[ChannelName]) -> Result<(), ConsumeError> {
        let mut found = Vec::new();
        for name in names {
            let channel =
                self.core.catalog.get(name).ok_or_else(|| ConsumeError::UnknownChannel(name.clone()))?;
            let group = channel.group(&self.group).ok_or_else(|| ConsumeError::UnknownGroup {
                channel: name.clone(),
                group: self.group.to_string(),
            })?;
            if self.slot_of(name).is_none() {
                found.push((channel, group));
            }
        }
        let options = &self.core.options;
        for (channel, group) in found {
            let slot = self.slots.len();
            let (records, bytes) = (options.max_unsettled_records, options.max_unsettled_bytes);
            let budget = Arc::new(Budget::new(records, bytes, self.inbox.clone(), slot));
            let member = Member { id: self.member, inbox: self.inbox.clone(), slot };
            self.slots.push(Some(Slot {
                channel,
                group: group.clone(),
                budget,
                held: false,
                reported: false,
            }));
            group.join(member, options.drain);
        }
        Ok(())
    }

    fn slot_of(&self, name: &ChannelName) -> Option<usize> {
        let found = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.channel.name == *name);
        self.slots.iter().position(found)
    }

    /// Ends leases whose time is over; returns when the next one ends.
    fn expire(&self) -> Option<Instant> {
        let slots = self.slots.iter().flatten();
        slots.filter_map(|slot| slot.group.expire(self.core.options.drain)).min()
    }

    /// What to read next, of all channels that may have something and have room for it.
    fn plan(&mut self) -> Vec<SlotPlan> {
        self.turn = self.turn.wrapping_add(1);
        let mut left = BATCH_RECORDS;
        let mut plans = Vec::new();
        // Begin at another channel each time, so that none waits behind a busy one.
        let from = self.turn % self.slots.len().max(1);
        let order: Vec<usize> = self.ready.range(from..).chain(self.ready.range(..from)).copied().collect();
        for index in order {
            if left == 0 {
                break;
            }
            self.ready.remove(&index);
            let Some(slot) = self.slots.get(index).and_then(Option::as_ref) else { continue };
            let Some((records, max_bytes)) = slot.budget.left() else { continue };
            if slot.held {
                continue;
            }
            let lane_plans = slot.group.plan(self.member, records.min(left), self.turn);
            if lane_plans.is_empty() {
                continue;
            }
            let runs = lane_plans.iter().flat_map(|plan| &plan.runs);
            let planned: i64 = runs.map(|(first, last)| last - first + 1).sum();
            left = left.saturating_sub(usize::try_from(planned).unwrap_or(left));
            plans.push(SlotPlan { slot: index, max_bytes, plans: lane_plans });
        }
        plans
    }

    /// Hands out what was read, as far as it is still this consumer's to take.
    fn accept(&mut self, parts: Vec<Part>) -> Vec<Received> {
        let mut batch = Vec::new();
        for part in parts {
            let Some(slot) = self.slots.get(part.slot).and_then(Option::as_ref) else { continue };
            // There may be more; the next plan finds out.
            self.ready.insert(part.slot);
            if !slot.held {
                slot.accept(part, &self.core, &mut batch);
            }
        }
        batch
    }

    /// Damage found in a channel, told once; the others flow on, and what was whole of it is still handed out.
    fn damage(&mut self) -> Option<ConsumeError> {
        let slots = self.slots.iter_mut().flatten();
        slots.filter(|slot| !slot.reported).find_map(|slot| {
            let detail = slot.channel.lanes.iter().find_map(|lane| lane.damage())?;
            slot.reported = true;
            Some(ConsumeError::Damaged { channel: slot.channel.name.clone(), detail: remedy(detail) })
        })
    }

    /// One step: news, a batch, or nothing yet.
    async fn step(&mut self) -> Result<Option<Intaken>, ConsumeError> {
        if *self.closed.borrow() {
            return Err(ConsumeError::Fatal(EngineError::Closed.into()));
        }
        let deadline = self.expire();
        if let Some(news) = self.inbox.take_news() {
            return Ok(Some(news));
        }
        if let Some(error) = self.damage() {
            return Err(error);
        }
        self.ready.append(&mut self.inbox.take_ready());
        if self.reading.is_none() && !self.ready.is_empty() {
            // The wait comes before the plan, so that a dropped `next` forgets nothing.
            let closed = || ConsumeError::Fatal(EngineError::Closed.into());
            let room = self.core.reads.reserve(1).await.ok_or_else(closed)?;
            let slots = self.plan();
            if !slots.is_empty() {
                let (reply, answer) = oneshot::channel();
                let read = Read { slots, max_bytes: BATCH_BYTES, reply };
                self.core.reads.put(read, room).map_err(|_| closed())?;
                self.reading = Some(answer);
            }
        }
        let inbox = self.inbox.clone();
        tokio::select! {
            answer = arrived(&mut self.reading) => {
                self.reading = None;
                let parts = answer.map_err(|error| ConsumeError::Fatal(error.into()))?;
                let batch = self.accept(parts);
                Ok((!batch.is_empty()).then_some(Intaken::Batch(batch)))
            }
            () = inbox.notify.notified() => Ok(None),
            _ = self.closed.changed() => Ok(None),
            () = at(deadline) => Ok(None),
        }
    }
}

impl Slot {
    fn accept(&self, part: Part, core: &Core, batch: &mut Vec<Received>) {
        let partition = part.lane.partition;
        let sequences: Vec<i64> = part.records.iter().map(|record| record.sequence).collect();
        let handed = self.group.hand_out(partition, part.epoch, &sequences);
        for (record, redelivered) in part.records.into_iter().zip(handed) {
            let Some(redelivered) = redelivered else { continue };
            let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            let token = Token {
                channel: self.channel.clone(),
                group: self.group.clone(),
                partition,
                sequence: record.sequence,
                epoch: part.epoch,
                drain: core.options.drain,
                _share: self.budget.take(record.key.len() + headers + record.value.len()),
            };
            batch.push(Received {
                channel: self.channel.name.clone(),
                position: Position { partition, offset: record.sequence },
                key: record.key,
                headers: record.headers,
                value: record.value,
                stored: time(record.stored),
                redelivered,
                receipt: Receipt::new(Box::new(token)),
            });
        }
    }
}

/// What was found, and what to do about it.
pub(crate) fn remedy(detail: &str) -> String {
    format!(
        "{detail}; stop, then restore the directory from a copy, or open it with accept_damage=true, which sets the \
         damaged files aside and keeps what is whole"
    )
}

async fn arrived(reading: &mut Option<Answer>) -> Result<Vec<Part>, EngineError> {
    match reading {
        Some(answer) => answer.await.unwrap_or(Err(EngineError::Closed)),
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[async_trait]
impl Intake for EmbeddedIntake {
    async fn next(&mut self) -> Result<Intaken, ConsumeError> {
        loop {
            if let Some(news) = self.step().await? {
                return Ok(news);
            }
        }
    }

    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError> {
        let index = self.slot_of(channel).ok_or_else(|| ConsumeError::UnknownChannel(channel.clone()))?;
        if let Some(slot) = &mut self.slots[index] {
            slot.held = held;
        }
        if !held {
            self.ready.insert(index);
        }
        Ok(())
    }

    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        self.join(channels)
    }

    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        let find = |name| self.slot_of(name).ok_or_else(|| ConsumeError::UnknownChannel(name.clone()));
        let indices = channels.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        for index in indices {
            if let Some(slot) = self.slots[index].take() {
                slot.group.leave(self.member, self.core.options.drain);
            }
        }
        Ok(())
    }
}

impl Drop for EmbeddedIntake {
    fn drop(&mut self) {
        for slot in self.slots.drain(..).flatten() {
            slot.group.leave(self.member, self.core.options.drain);
        }
    }
}
