//! The reference engine's taking in, settling and observing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use trunkline_broker::record::ReceiptToken;
use trunkline_broker::{
    ChannelName, ConsumeError, GroupName, HandOverError, Intake, Intaken, Observer, Outgoing, Position,
    Receipt, Received, Settler,
};

use super::engine::{MemoryBroker, Restarted, Server};
use super::fault::Fault;
use super::state::{Channel, Place, State, Stored};

/// The most unsettled records of a channel.
pub(super) const BOUND: usize = 250;

pub(super) struct MemoryIntake {
    pub(super) broker: MemoryBroker,
    pub(super) id: u64,
}

pub(super) struct MemorySettler {
    pub(super) broker: MemoryBroker,
}

pub(super) struct MemoryObserver {
    pub(super) server: Arc<Server>,
    pub(super) channel: ChannelName,
    pub(super) after: i64,
}

/// What a receipt settles.
pub(super) struct Token {
    server: Arc<Server>,
    channel: ChannelName,
    group: GroupName,
    position: Position,
    epoch: u64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{:?}", self.channel, self.position)
    }
}

impl ReceiptToken for Token {
    fn give_back(self: Box<Self>) {
        let mut state = self.server.lock();
        self.end(&mut state, false);
        drop(state);
        self.server.news.notify_waiters();
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl Token {
    fn end(&self, state: &mut State, settled: bool) {
        let fault = state.fault;
        let Some(channel) = state.channels.get_mut(&self.channel) else { return };
        let Some(places) = channel.groups.get_mut(&self.group) else { return };
        let place = &mut places[usize::from(self.position.partition)];
        let offset = self.position.offset;
        if settled && fault == Fault::HonoursStaleLeases {
            place.ready.remove(&offset);
            place.out.remove(&offset);
        }
        if !place.leased(self.epoch) || !place.out.remove(&offset) {
            return;
        }
        let forgotten = settled && fault == Fault::ForgetsSettlingInRevoke && !place.flows();
        if forgotten || (!settled && fault != Fault::DropMeansDone) {
            place.ready.insert(offset);
        }
        if settled && fault == Fault::SettlesUpTo {
            place.out.retain(|other| *other > offset);
        }
        if fault != Fault::KeepsSettled {
            channel.tidy();
        }
        if !settled && fault == Fault::GivesBackLast {
            let partition = &mut channel.partitions[usize::from(self.position.partition)];
            if let Some(stored) = partition.remove(&offset) {
                channel.groups.values_mut().for_each(|places| {
                    places.iter_mut().for_each(|place| {
                        place.ready.remove(&offset);
                    });
                });
                channel.append(stored.record, fault);
            }
        }
    }
}

impl State {
    pub(super) fn find(&self, channels: &[ChannelName], group: &GroupName) -> Result<(), ConsumeError> {
        for name in channels {
            let channel =
                self.channels.get(name).ok_or_else(|| ConsumeError::UnknownChannel(name.clone()))?;
            if !channel.groups.contains_key(group) {
                return Err(ConsumeError::UnknownGroup {
                    channel: name.clone(),
                    group: group.as_str().to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Records for one consumer, from all channels that may flow.
    fn hand_out(&mut self, server: &Arc<Server>, id: u64) -> Vec<Received> {
        let fault = self.fault;
        let Some(member) = self.consumers.get(&id) else { return Vec::new() };
        let unsettled = |channel: &Channel| -> usize {
            channel.groups.values().flatten().map(|place| place.out.len()).sum()
        };
        if fault == Fault::FullChannelStopsAll
            && self.channels.values().any(|channel| unsettled(channel) >= BOUND)
        {
            return Vec::new();
        }
        let mut batch = Vec::new();
        for name in &member.channels {
            let Some(channel) = self.channels.get_mut(name) else { continue };
            let Some(places) = channel.groups.get_mut(&member.group) else { continue };
            if member.held.contains(name) && fault != Fault::IgnoresHold {
                continue;
            }
            let mine = |place: &Place| {
                place.owner.as_ref().is_some_and(|(owner, _)| *owner == id || fault == Fault::IgnoresLeases)
            };
            let mut out: usize = places.iter().filter(|place| mine(place)).map(|place| place.out.len()).sum();
            for (partition, place) in places.iter_mut().enumerate() {
                if !mine(place) || !place.flows() {
                    continue;
                }
                let epoch = place.owner.as_ref().map_or(0, |(_, lease)| lease.epoch);
                while (out < BOUND || fault == Fault::IgnoresBound)
                    && batch.len() < 100
                    && let Some(offset) = place.ready.pop_first()
                {
                    place.out.insert(offset);
                    out += 1;
                    let partition16 = u16::try_from(partition).expect("few partitions");
                    let position = Position { partition: partition16, offset };
                    let token = Token {
                        server: Arc::clone(server),
                        channel: name.clone(),
                        group: member.group.clone(),
                        position,
                        epoch,
                    };
                    let stored = &channel.partitions[partition][&offset];
                    batch.push(received(stored, position, Receipt::new(Box::new(token))));
                }
            }
        }
        batch
    }
}

pub(super) fn received(stored: &Stored, position: Position, receipt: Receipt) -> Received {
    Received {
        channel: stored.record.channel.clone(),
        position,
        key: stored.record.key.clone(),
        headers: stored.record.headers.clone(),
        value: stored.record.value.clone(),
        stored: stored.stored,
        redelivered: 0,
        receipt,
    }
}

#[async_trait]
impl Intake for MemoryIntake {
    async fn next(&mut self) -> Result<Intaken, ConsumeError> {
        loop {
            let (records, wavers) = {
                let mut state = self.broker.server.lock();
                if !state.alive.contains(&self.broker.process) {
                    return Err(ConsumeError::Fatal(Box::new(Restarted)));
                }
                state.maintain();
                let member = state.consumers.get_mut(&self.id).expect("it leaves when it is dropped");
                if let Some(news) = member.news.pop_front() {
                    return Ok(news);
                }
                let wavers = state.fault == Fault::CancelledNextLoses;
                (state.hand_out(&self.broker.server, self.id), wavers)
            };
            if !records.is_empty() {
                if wavers {
                    let (receipts, bare) = trunkline_broker::conformance::consumer::part(records);
                    let kept: Vec<_> = receipts.into_iter().map(Receipt::into_token::<Token>).collect();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let whole = bare.into_iter().zip(kept).filter_map(|(record, token)| {
                        Some(Received { receipt: Receipt::new(token?), ..record })
                    });
                    return Ok(Intaken::Batch(whole.collect()));
                }
                return Ok(Intaken::Batch(records));
            }
            let _news = timeout(Duration::from_millis(2), self.broker.server.news.notified()).await;
        }
    }

    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError> {
        let mut state = self.broker.server.lock();
        let member = state.consumers.get_mut(&self.id).ok_or(ConsumeError::Fatal(Box::new(Restarted)))?;
        if !member.channels.contains(channel) {
            return Err(ConsumeError::UnknownChannel(channel.clone()));
        }
        if held {
            member.held.insert(channel.clone());
        } else {
            member.held.remove(channel);
        }
        Ok(())
    }

    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        let mut state = self.broker.server.lock();
        let group = state.consumers.get(&self.id).map(|member| member.group.clone());
        let group = group.ok_or(ConsumeError::Fatal(Box::new(Restarted)))?;
        state.find(channels, &group)?;
        if let Some(member) = state.consumers.get_mut(&self.id) {
            member.channels.extend(channels.iter().cloned());
        }
        Ok(())
    }

    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        let mut state = self.broker.server.lock();
        let member = state.consumers.get_mut(&self.id).ok_or(ConsumeError::Fatal(Box::new(Restarted)))?;
        for channel in channels {
            if !member.channels.remove(channel) {
                return Err(ConsumeError::UnknownChannel(channel.clone()));
            }
        }
        Ok(())
    }
}

impl Drop for MemoryIntake {
    fn drop(&mut self) {
        let mut state = self.broker.server.lock();
        state.leave(self.id);
    }
}

#[async_trait]
impl Settler for MemorySettler {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        let (split, settles_first) = {
            let mut state = self.broker.server.lock();
            if !state.alive.contains(&self.broker.process) {
                return Err(HandOverError::Unavailable {
                    cause: Box::new(Restarted),
                    inputs,
                    stored: Vec::new(),
                });
            }
            let failures = state.failures(&outputs);
            if let Some(first) = failures.first() {
                if state.fault == Fault::PublishesBeforeRefusal {
                    state.store(outputs[..first.index].to_vec());
                }
                return Err(HandOverError::Refused { failures, inputs });
            }
            let settles_first = state.fault == Fault::SettlesBeforePublishing;
            if !settles_first {
                state.store(outputs.clone());
            }
            for token in inputs.into_iter().filter_map(Receipt::into_token::<Token>) {
                token.end(&mut state, true);
            }
            (outputs, settles_first)
        };
        if settles_first {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut state = self.broker.server.lock();
            if state.alive.contains(&self.broker.process) {
                state.store(split);
            }
        }
        self.broker.server.news.notify_waiters();
        Ok(())
    }
}

#[async_trait]
impl Observer for MemoryObserver {
    async fn next(&mut self) -> Result<Vec<Received>, ConsumeError> {
        loop {
            {
                let mut state = self.server.lock();
                state.maintain();
                if state.fault == Fault::ObservingSettles {
                    let places =
                        state.channels.values_mut().flat_map(|channel| channel.groups.values_mut()).flatten();
                    places.for_each(|place| place.ready.clear());
                }
                let channel = state.channels.get(&self.channel);
                let channel = channel.ok_or_else(|| ConsumeError::UnknownChannel(self.channel.clone()))?;
                let mut seen = Vec::new();
                for (partition, records) in channel.partitions.iter().enumerate() {
                    let partition = u16::try_from(partition).expect("few partitions");
                    for (offset, stored) in records.range(self.after + 1..) {
                        let position = Position { partition, offset: *offset };
                        seen.push(received(stored, position, Receipt::new(Box::new(Nothing))));
                    }
                }
                self.after = channel.last_offset;
                if !seen.is_empty() {
                    return Ok(seen);
                }
            }
            let _news = timeout(Duration::from_millis(2), self.server.news.notified()).await;
        }
    }
}

/// An observer's receipt.
#[derive(Debug)]
struct Nothing;

impl ReceiptToken for Nothing {
    fn give_back(self: Box<Self>) {}

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
