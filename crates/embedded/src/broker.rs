//! The engine's front: the port's operations, passed to the threads behind.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Lag, LagError,
    Observer, Outgoing, PublishError, PublishFailure, RecordFailure, Settler, Start, TopologyError,
};

use crate::catalog::{Channel, lock};
use crate::core::Core;
use crate::error::{EngineError, OpenError};
use crate::group::{Group, Plan};
use crate::intake::EmbeddedIntake;
use crate::lock::DirectoryLock;
use crate::observer::EmbeddedObserver;
use crate::open::open;
use crate::options::Options;
use crate::reader::SlotPlan;
use crate::request::{Request, Topology, TopologyChange, prepare};
use crate::settler::{EmbeddedSettler, store};

/// A directory opened as a broker. Clones are handles to the same one; it is closed with the last, or by
/// [`Self::close`].
#[derive(Debug, Clone)]
pub struct EmbeddedBroker {
    engine: Arc<Engine>,
}

#[derive(Debug)]
struct Engine {
    core: Arc<Core>,
    /// Taken when it is closed.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    threads: Vec<JoinHandle<()>>,
    lock: DirectoryLock,
}

impl EmbeddedBroker {
    /// Opens a directory, creating it when it is not there. Blocks: what is stored is read and proven whole first.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process or handle has it, [`OpenError::Damaged`] when something stored is
    /// damaged or missing; nothing is changed then.
    pub fn open(directory: &Path, options: Options) -> Result<Self, OpenError> {
        let opened = open(directory, options)?;
        let running = Some(Running { threads: opened.threads, lock: opened.lock });
        Ok(Self { engine: Arc::new(Engine { core: opened.core, running: Mutex::new(running) }) })
    }

    /// Closes the directory: finishes what was asked, lets go of the lock. Intakes, observers and settlers that are
    /// left answer with errors from then on. Blocks for as long as a commit takes.
    pub fn close(&self) {
        self.engine.close();
    }
}

impl Engine {
    fn close(&self) {
        self.core.close();
        if let Some(Running { threads, lock }) = lock(&self.running).take() {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the embedded engine panicked");
                }
            }
            self.core.abandon();
            // Only now may another process have it.
            drop(lock);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    fn capabilities(&self) -> Capabilities {
        let max_record = self.engine.core.options.max_record;
        Capabilities { atomic_hand_over: true, several_instances: false, max_record }
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        change(&self.engine.core, TopologyChange::Ensure(specs.to_vec(), mode)).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let core = &self.engine.core;
        let (prepared, mut failures) = prepare(&core.catalog, batch);
        if !prepared.is_empty() {
            let (indices, records): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
            if let Err(refused) = store(core, records, Vec::new()).await {
                failures.extend(indices.into_iter().map(|index| failure(index, &refused.error)));
                failures.sort_by_key(|failure| failure.index);
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(PublishError { failures }) }
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        _from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        let core = &self.engine.core;
        if *core.closed.borrow() {
            return Err(ConsumeError::Fatal(EngineError::Closed.into()));
        }
        let mut intake = EmbeddedIntake::new(core.clone(), group.clone());
        intake.join(channels)?;
        Ok((Box::new(intake), Arc::new(EmbeddedSettler { core: core.clone() })))
    }

    async fn observe(&self, channel: &ChannelName, from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        let core = &self.engine.core;
        let found = core.catalog.get(channel).ok_or_else(|| ConsumeError::UnknownChannel(channel.clone()))?;
        Ok(Box::new(EmbeddedObserver::new(core.clone(), found, from)))
    }

    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError> {
        let core = &self.engine.core;
        let unknown = || LagError::Unknown(channel.clone());
        let found = core.catalog.get(channel).ok_or_else(unknown)?;
        let group = found.group(group).ok_or_else(unknown)?;
        lag(core, &found, &group).await.map_err(|error| LagError::Unavailable(error.into()))
    }

    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError> {
        change(&self.engine.core, TopologyChange::Remove(channel.clone(), force)).await
    }
}

async fn change(core: &Core, what: TopologyChange) -> Result<(), TopologyError> {
    let (reply, answer) = oneshot::channel();
    let closed = || TopologyError::Unavailable(EngineError::Closed.into());
    core.requests.push(Request::Topology(Topology { what, reply }), 1).await.map_err(|_| closed())?;
    answer.await.unwrap_or_else(|_| Err(closed()))
}

fn failure(index: usize, error: &EngineError) -> RecordFailure {
    let failure = match error {
        EngineError::Removed(name) => match ChannelName::parse(name) {
            Ok(name) => PublishFailure::Unroutable(name),
            Err(_) => PublishFailure::Unavailable(error.clone().into()),
        },
        error if error.is_full() => PublishFailure::Full(error.clone().into()),
        error => PublishFailure::Unavailable(error.clone().into()),
    };
    RecordFailure { index, failure }
}

/// Counts are in memory; the age of the oldest record is read.
async fn lag(core: &Core, channel: &Channel, group: &Group) -> Result<Vec<Lag>, EngineError> {
    let mut lags = Vec::with_capacity(channel.lanes.len());
    let mut plans = Vec::new();
    let now = core.clock.now();
    for lane in &channel.lanes {
        let (unsettled, first) = group.unsettled(lane.partition);
        let (delayed, oldest) = lane.delayed();
        plans.extend(first.map(|first| Plan { lane: lane.clone(), epoch: 0, runs: vec![(first, first)] }));
        let oldest = oldest.map(|stored| age(now, stored));
        lags.push(Lag { partition: lane.partition, records: unsettled + delayed, oldest });
    }
    if !plans.is_empty() {
        let slot = SlotPlan { slot: 0, max_bytes: usize::MAX, plans };
        let answer = core.read(vec![slot], usize::MAX).await?;
        for part in answer.await.unwrap_or(Err(EngineError::Closed))? {
            let oldest = &mut lags[usize::from(part.lane.partition)].oldest;
            *oldest = part.records.first().map(|record| age(now, record.stored)).max(*oldest);
        }
    }
    Ok(lags)
}

fn age(now: i64, stored: i64) -> Duration {
    Duration::from_millis(u64::try_from(now - stored).unwrap_or(0))
}
