//! The reference engine: the port in memory, as simple as it can be, right unless told to be wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Lag, LagError,
    Observer, Outgoing, PublishError, PublishFailure, RecordFailure, Settler, Start, TopologyError,
};

use super::consuming::{MemoryIntake, MemoryObserver, MemorySettler};
use super::fault::Fault;
use super::state::{Member, State};

/// What would be the broker's server: it outlives handles.
pub(super) struct Server {
    state: Mutex<State>,
    pub(super) news: Notify,
}

/// A handle, dead once the server restarted.
pub(super) struct MemoryBroker {
    pub(super) server: Arc<Server>,
    pub(super) process: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("the server restarted")]
pub(super) struct Restarted;

impl Server {
    pub(super) fn new(fault: Fault) -> Arc<Self> {
        let state = State { fault, ..State::default() };
        Arc::new(Self { state: Mutex::new(state), news: Notify::new() })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(self: &Arc<Self>) -> Arc<MemoryBroker> {
        let mut state = self.lock();
        state.last_id += 1;
        let process = state.last_id;
        state.alive.insert(process);
        Arc::new(MemoryBroker { server: Arc::clone(self), process })
    }
}

impl State {
    pub(super) fn check(&self, record: &Outgoing) -> Result<(), PublishFailure> {
        let Some(channel) = self.channels.get(&record.channel) else {
            return if self.fault == Fault::ConfirmsUnroutable {
                Ok(())
            } else {
                Err(PublishFailure::Unroutable(record.channel.clone()))
            };
        };
        let (size, limit) = (record.size(), channel.spec.max_record);
        if size > limit && self.fault != Fault::StoresOversized {
            return Err(PublishFailure::TooLarge { size, limit });
        }
        let whole = channel.spec.groups.iter().all(|group| channel.groups.contains_key(group));
        if whole || self.fault == Fault::ConfirmsWithoutGroup {
            Ok(())
        } else {
            Err(PublishFailure::Unroutable(record.channel.clone()))
        }
    }

    pub(super) fn store(&mut self, mut batch: Vec<Outgoing>) {
        if self.fault == Fault::StoresBackwards {
            batch.reverse();
        }
        for mut record in batch {
            if self.fault == Fault::TakesBytesForText {
                record.value = String::from_utf8_lossy(&record.value).into_owned().into();
            }
            if self.fault == Fault::SortsHeaders {
                record.headers.sort();
            }
            let fault = self.fault;
            let Some(channel) = self.channels.get_mut(&record.channel) else { continue };
            match record.delay.filter(|delay| !delay.is_zero()) {
                None => channel.append(record, fault),
                Some(delay) => {
                    let delay = match fault {
                        Fault::DelaysTooShort => delay * 9 / 10,
                        Fault::DelaysTooLong => delay * 13 / 10 + Duration::from_secs(1),
                        _ => delay,
                    };
                    channel.delayed.push((Instant::now() + delay, record));
                }
            }
        }
    }

    /// Checks a batch; the failures by index.
    pub(super) fn failures(&self, batch: &[Outgoing]) -> Vec<RecordFailure> {
        let failure = |(index, record)| {
            let failure = self.check(record).err()?;
            Some(RecordFailure { index, failure })
        };
        batch.iter().enumerate().filter_map(failure).collect()
    }
}

#[async_trait]
impl Broker for MemoryBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_hand_over: true, several_instances: true, max_record: usize::MAX }
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        let mut state = self.server.lock();
        let fault = state.fault;
        for spec in specs {
            match state.channels.get(&spec.name) {
                Some(channel)
                    if channel.spec.partitions != spec.partitions && fault != Fault::TakesOtherSettings =>
                {
                    return Err(TopologyError::Mismatch {
                        channel: spec.name.clone(),
                        wanted: format!("{} partitions", spec.partitions),
                        found: format!("{} partitions", channel.spec.partitions),
                    });
                }
                Some(channel)
                    if mode == Ensure::Create
                        || spec.groups.iter().all(|g| channel.groups.contains_key(g)) => {}
                None if mode == Ensure::Create => {}
                _ if fault == Fault::VerifyCreates => {}
                _ => return Err(TopologyError::Missing(spec.name.clone())),
            }
        }
        for spec in specs {
            state.declare(spec);
            if fault == Fault::NewGroupBeginsLate {
                let channel = state.channels.get_mut(&spec.name).expect("just declared");
                if let Some(late) = channel.groups.iter_mut().find(|(group, _)| group.as_str() == "late") {
                    late.1.iter_mut().for_each(|place| place.ready.clear());
                }
            }
        }
        Ok(())
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let mut state = self.server.lock();
        if !state.alive.contains(&self.process) {
            let failure =
                |index| RecordFailure { index, failure: PublishFailure::Unavailable(Box::new(Restarted)) };
            return Err(PublishError { failures: (0..batch.len()).map(failure).collect() });
        }
        let failures = state.failures(&batch);
        let failed: BTreeSet<usize> = failures.iter().map(|failure| failure.index).collect();
        let good = batch.into_iter().enumerate().filter(|(index, _)| !failed.contains(index));
        state.store(good.map(|(_, record)| record).collect());
        self.server.news.notify_waiters();
        if failures.is_empty() { Ok(()) } else { Err(PublishError { failures }) }
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        _from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        let mut state = self.server.lock();
        if !state.alive.contains(&self.process) {
            return Err(ConsumeError::Fatal(Box::new(Restarted)));
        }
        state.find(channels, group)?;
        state.last_id += 1;
        let id = state.last_id;
        let member = Member {
            process: self.process,
            group: group.clone(),
            channels: channels.iter().cloned().collect(),
            held: BTreeSet::new(),
            news: std::collections::VecDeque::new(),
        };
        state.consumers.insert(id, member);
        let handle = || MemoryBroker { server: Arc::clone(&self.server), process: self.process };
        Ok((Box::new(MemoryIntake { broker: handle(), id }), Arc::new(MemorySettler { broker: handle() })))
    }

    async fn observe(&self, channel: &ChannelName, from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        let state = self.server.lock();
        let found = state.channels.get(channel);
        let found = found.ok_or_else(|| ConsumeError::UnknownChannel(channel.clone()))?;
        let after = if from == Start::Oldest { 0 } else { found.last_offset };
        Ok(Box::new(MemoryObserver { server: Arc::clone(&self.server), channel: channel.clone(), after }))
    }

    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError> {
        let state = self.server.lock();
        let unknown = || LagError::Unknown(channel.clone());
        let found = state.channels.get(channel).ok_or_else(unknown)?;
        let places = found.groups.get(group).ok_or_else(unknown)?;
        let mut lags = Vec::new();
        for (partition, place) in places.iter().enumerate() {
            let oldest = place.oldest().and_then(|oldest| found.partitions[partition].get(&oldest));
            let oldest = oldest.and_then(|stored| stored.stored.elapsed().ok());
            let records = (place.ready.len() + place.out.len()) as u64;
            lags.push(Lag { partition: u16::try_from(partition).expect("few partitions"), records, oldest });
        }
        if state.fault != Fault::LagForgetsDelayed && !found.delayed.is_empty() {
            lags[0].records += found.delayed.len() as u64;
            lags[0].oldest = lags[0].oldest.or(Some(Duration::from_millis(50)));
        }
        Ok(lags)
    }

    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError> {
        let lag = match self.server.lock().channels.get(channel) {
            None => return Err(TopologyError::Missing(channel.clone())),
            Some(found) => found.partitions.iter().map(BTreeMap::len).sum::<usize>() + found.delayed.len(),
        };
        let mut state = self.server.lock();
        if lag > 0 && !force && state.fault != Fault::RemovesNonEmpty {
            return Err(TopologyError::NotEmpty { channel: channel.clone(), records: lag as u64 });
        }
        state.channels.remove(channel);
        Ok(())
    }
}
