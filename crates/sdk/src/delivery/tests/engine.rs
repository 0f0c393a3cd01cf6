//! An engine in memory on tokio's clock, with faults at will. Not for the conformance suite: one process, no groups.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use trunkline_broker::record::ReceiptToken;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, HandOverError, Intake,
    Intaken, Lag, LagError, Lease, Observer, Outgoing, Position, PublishError, PublishFailure, Receipt,
    Received, RecordFailure, Settler, Start, TopologyError,
};

/// Records of one channel that are handed out and not settled, at most.
pub(super) const BOUND: usize = 64;

#[derive(Clone, Default)]
pub(super) struct Engine(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    channels: BTreeMap<ChannelName, BTreeMap<i64, Stored>>,
    held: BTreeSet<ChannelName>,
    consumed: BTreeSet<ChannelName>,
    news: VecDeque<Result<Intaken, ConsumeError>>,
    next_offset: i64,
    trouble: Trouble,
}

#[derive(Debug)]
struct Stored {
    outgoing: Outgoing,
    due: Instant,
    out: bool,
}

/// How hand-overs fail.
#[derive(Debug, Clone, Default)]
pub(super) struct Trouble {
    /// Until then the engine can't be had.
    pub(super) unavailable: bool,
    /// A hand-over takes so long.
    pub(super) slow: Duration,
    /// This channel does not exist.
    pub(super) missing: Option<ChannelName>,
    /// This channel takes nothing now, though all others do.
    pub(super) full: Option<ChannelName>,
    /// The longest record.
    pub(super) max_record: Option<usize>,
    /// Another instance took over.
    pub(super) fenced: bool,
}

impl Engine {
    pub(super) fn trouble(&self, trouble: Trouble) {
        self.lock().trouble = trouble;
    }

    pub(super) fn put(&self, outgoing: Outgoing) {
        self.lock().store(outgoing);
        self.0.changed.notify_waiters();
    }

    /// What the intake tells next.
    pub(super) fn tell(&self, news: Result<Intaken, ConsumeError>) {
        self.lock().news.push_back(news);
        self.0.changed.notify_waiters();
    }

    /// The values that lie unsettled on a channel.
    pub(super) fn unsettled(&self, channel: &ChannelName) -> Vec<Bytes> {
        let state = self.lock();
        let records = state.channels.get(channel).into_iter().flat_map(BTreeMap::values);
        records.map(|stored| stored.outgoing.value.clone()).collect()
    }

    /// How many records of a channel are handed out.
    pub(super) fn out(&self, channel: &ChannelName) -> usize {
        let state = self.lock();
        state.channels.get(channel).map_or(0, |records| records.values().filter(|stored| stored.out).count())
    }

    pub(super) fn is_held(&self, channel: &ChannelName) -> bool {
        self.lock().held.contains(channel)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// What can be handed out now, or when to look again.
    fn take(&self) -> Result<Vec<Received>, Option<Instant>> {
        let now = Instant::now();
        let mut state = self.lock();
        let State { channels, held, consumed, .. } = &mut *state;
        let (mut taken, mut next) = (Vec::new(), None);
        for channel in consumed.difference(held) {
            let Some(records) = channels.get_mut(channel) else { continue };
            let mut room = BOUND.saturating_sub(records.values().filter(|stored| stored.out).count());
            for (offset, stored) in records.iter_mut().filter(|(_, stored)| !stored.out) {
                if stored.due > now {
                    next = Some(next.map_or(stored.due, |next: Instant| next.min(stored.due)));
                } else if room > 0 {
                    room -= 1;
                    stored.out = true;
                    taken.push(self.received(*offset, stored));
                }
            }
        }
        if taken.is_empty() { Err(next) } else { Ok(taken) }
    }

    fn received(&self, offset: i64, stored: &Stored) -> Received {
        let outgoing = stored.outgoing.clone();
        let token = Token { engine: self.clone(), channel: outgoing.channel.clone(), offset };
        Received {
            channel: outgoing.channel,
            position: Position { partition: 0, offset },
            key: outgoing.key,
            headers: outgoing.headers,
            value: outgoing.value,
            stored: SystemTime::UNIX_EPOCH,
            redelivered: 0,
            receipt: Receipt::new(Box::new(token)),
        }
    }
}

impl State {
    fn store(&mut self, outgoing: Outgoing) {
        let due = Instant::now() + outgoing.delay.unwrap_or_default();
        self.next_offset += 1;
        let channel = self.channels.entry(outgoing.channel.clone()).or_default();
        channel.insert(self.next_offset, Stored { outgoing, due, out: false });
    }

    fn refused(&self, outputs: &[Outgoing]) -> Vec<RecordFailure> {
        let limit = self.trouble.max_record.unwrap_or(usize::MAX);
        let failures = outputs.iter().enumerate().filter_map(|(index, output)| {
            let failure = if output.size() > limit {
                PublishFailure::TooLarge { size: output.size(), limit }
            } else if self.trouble.missing.as_ref() == Some(&output.channel) {
                PublishFailure::Unroutable(output.channel.clone())
            } else {
                return None;
            };
            Some(RecordFailure { index, failure })
        });
        failures.collect()
    }
}

struct Token {
    engine: Engine,
    channel: ChannelName,
    offset: i64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.channel, self.offset)
    }
}

impl ReceiptToken for Token {
    fn give_back(self: Box<Self>) {
        let mut state = self.engine.lock();
        let records = state.channels.get_mut(&self.channel);
        if let Some(stored) = records.and_then(|records| records.get_mut(&self.offset)) {
            stored.out = false;
        }
        drop(state);
        self.engine.0.changed.notify_waiters();
    }

    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any> {
        self
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

#[async_trait]
impl Broker for Engine {
    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_hand_over: true, several_instances: false, max_record: 1 << 20 }
    }

    async fn ensure(&self, _specs: &[ChannelSpec], _mode: Ensure) -> Result<(), TopologyError> {
        Ok(())
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        batch.into_iter().for_each(|outgoing| self.put(outgoing));
        Ok(())
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        _group: &GroupName,
        _from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        let mut state = self.lock();
        state.consumed = channels.iter().cloned().collect();
        state.held.clear();
        Ok((Box::new(Taking(self.clone())), Arc::new(Settling(self.clone()))))
    }

    async fn observe(&self, channel: &ChannelName, _from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        Err(ConsumeError::UnknownChannel(channel.clone()))
    }

    async fn lag(&self, channel: &ChannelName, _group: &GroupName) -> Result<Vec<Lag>, LagError> {
        Err(LagError::Unknown(channel.clone()))
    }

    async fn remove(&self, channel: &ChannelName, _force: bool) -> Result<(), TopologyError> {
        Err(TopologyError::Missing(channel.clone()))
    }
}

struct Taking(Engine);

#[async_trait]
impl Intake for Taking {
    async fn next(&mut self) -> Result<Intaken, ConsumeError> {
        loop {
            let changed = self.0.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(news) = self.0.lock().news.pop_front() {
                return news;
            }
            match self.0.take() {
                Ok(records) => return Ok(Intaken::Batch(records)),
                Err(Some(due)) => tokio::select! {
                    () = changed => {}
                    () = sleep_until(due) => {}
                },
                Err(None) => changed.await,
            }
        }
    }

    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError> {
        let mut state = self.0.lock();
        if !state.consumed.contains(channel) {
            return Err(ConsumeError::UnknownChannel(channel.clone()));
        }
        if held {
            state.held.insert(channel.clone());
        } else {
            state.held.remove(channel);
        }
        Ok(())
    }

    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        self.0.lock().consumed.extend(channels.iter().cloned());
        Ok(())
    }

    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        let mut state = self.0.lock();
        for channel in channels {
            state.consumed.remove(channel);
            state.held.remove(channel);
        }
        Ok(())
    }
}

struct Settling(Engine);

#[async_trait]
impl Settler for Settling {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        let slow = self.0.lock().trouble.slow;
        if !slow.is_zero() {
            sleep(slow).await;
        }
        let mut state = self.0.lock();
        if state.trouble.fenced {
            return Err(HandOverError::Fenced);
        }
        if state.trouble.unavailable {
            let cause = "the engine is gone".into();
            return Err(HandOverError::Unavailable { cause, inputs, stored: Vec::new() });
        }
        let failures = state.refused(&outputs);
        if !failures.is_empty() {
            return Err(HandOverError::Refused { failures, inputs });
        }
        let full = state.trouble.full.clone();
        let (mut stored, count) = (Vec::new(), outputs.len());
        for (index, output) in
            outputs.into_iter().enumerate().filter(|(_, output)| Some(&output.channel) != full.as_ref())
        {
            state.store(output);
            stored.push(index);
        }
        if stored.len() < count {
            return Err(HandOverError::Unavailable { cause: "a channel is full".into(), inputs, stored });
        }
        for input in inputs {
            let token = input.into_token::<Token>().unwrap();
            let settled =
                state.channels.get_mut(&token.channel).and_then(|records| records.remove(&token.offset));
            assert!(settled.is_some(), "{token:?} was settled twice");
        }
        drop(state);
        self.0.0.changed.notify_waiters();
        Ok(())
    }
}

/// The lease of a channel's only partition.
pub(super) fn lease(channel: &ChannelName) -> Lease {
    Lease { channel: channel.clone(), partition: 0, epoch: 1 }
}
