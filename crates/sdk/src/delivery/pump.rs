//! The loop that drives everything: the only owner of the intake and of all destinations' state.
//!
//! What comes in is in `inbound`, what changes from outside and what attempts show in `changes`.

mod changes;
mod inbound;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;
use tokio::sync::{mpsc, watch as cell};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use trunkline_broker::{Broker, ChannelName, ConsumeError, GroupName, Intake, Key, Settler, Start};
use trunkline_core::DestinationName;
use trunkline_store::DestinationStateKind;

use super::alarm::Alarm;
use super::attempt::{Bench, Finished, attempt};
use super::handover::{Fenced, HandOver};
use super::hosting::Hosting;
use super::journal::Journal;
use super::lanes::LeaseFlag;
use super::settlement::Settlement;
use super::watch::{Notice, SecretsByDestination, Watcher, Writes};
use super::{Command, Hosted, RunEnd, Runtime, RuntimeError, measure};

/// How many settlements may wait to be gathered; attempts wait beyond that.
const SETTLEMENTS: usize = 1024;
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// Runs a runtime.
pub(super) async fn run(
    runtime: Runtime,
    shutdown: CancellationToken,
    grace: Duration,
) -> Result<RunEnd, RuntimeError> {
    let Runtime { parts, mut commands, taking } = runtime;
    let states = parts.states.all().await.map_err(RuntimeError::States)?;
    let mut pump = Pump::open(parts, states).await?;
    taking.send_replace(true);
    let end = pump.serve(&mut commands, &shutdown).await;
    taking.send_replace(false);
    drop(commands);
    let settled_all = match &end {
        // Nothing can be settled any more.
        Err(RuntimeError::Fenced | RuntimeError::Failed(_)) => false,
        _ => pump.drain(Instant::now() + grace).await,
    };
    end.map(|()| RunEnd { settled_all })
}

struct Pump {
    intake: Box<dyn Intake>,
    hostings: BTreeMap<DestinationName, Hosting>,
    by_channel: HashMap<ChannelName, DestinationName>,
    leases: HashMap<(ChannelName, u16), LeaseFlag>,
    /// Attempts and other things under way that end in a settlement.
    tasks: JoinSet<Option<Finished>>,
    /// Whose attempt a task is.
    attempts: HashMap<Id, Attempting>,
    bench: Arc<Bench>,
    hand_over: AbortOnDropHandle<Result<(), Fenced>>,
    notices: mpsc::Receiver<Notice>,
    writes: Writes,
    secrets: cell::Sender<SecretsByDestination>,
    /// The shared states last read.
    states: BTreeMap<DestinationName, DestinationStateKind>,
    serials: u64,
    _watcher: AbortOnDropHandle<()>,
}

struct Attempting {
    destination: DestinationName,
    serial: u64,
    key: Key,
    trial: bool,
}

impl Pump {
    async fn open(
        parts: super::RuntimeParts,
        states: Vec<(DestinationName, DestinationStateKind)>,
    ) -> Result<Self, RuntimeError> {
        let super::RuntimeParts { broker, states: store, instance, journey, max_record, destinations, clock } =
            parts;
        let (intake, settler) =
            consume(broker.as_ref(), &destinations).await.map_err(RuntimeError::Consume)?;
        let (settlements, settled) = mpsc::channel(SETTLEMENTS);
        let journal = Journal { instance: instance.clone(), mode: journey, max_record };
        let alarm = Alarm::new(measure::hand_over_stuck(), "deliveries can't be settled");
        let hand_over = HandOver { settler, journal, clock: clock.clone(), alarm };
        let (noticed, notices) = mpsc::channel(16);
        let (secrets, watched_secrets) = cell::channel(Vec::new());
        let writes = Writes::default();
        let watcher = Watcher {
            states: store,
            instance: instance.clone(),
            clock: clock.clone(),
            writes: writes.clone(),
            secrets: watched_secrets,
            notices: noticed,
            // Whether the store can be had is the process's to tell, in `service::report_reach`.
            alarm: Alarm::new(Gauge::noop(), "the states of destinations can't be had"),
        };
        let mut pump = Self {
            intake,
            hostings: BTreeMap::new(),
            by_channel: HashMap::new(),
            leases: HashMap::new(),
            tasks: JoinSet::new(),
            attempts: HashMap::new(),
            bench: Arc::new(Bench { clock, instance, max_record, settlements }),
            hand_over: AbortOnDropHandle::new(tokio::spawn(hand_over.run(settled))),
            notices,
            writes,
            secrets,
            states: states.into_iter().collect(),
            serials: 0,
            _watcher: AbortOnDropHandle::new(tokio::spawn(watcher.run())),
        };
        pump.host(destinations);
        Ok(pump)
    }

    /// Serves until `shutdown`, or until something ends the intake or the hand-over.
    async fn serve(
        &mut self,
        commands: &mut mpsc::Receiver<Command>,
        shutdown: &CancellationToken,
    ) -> Result<(), RuntimeError> {
        let mut measure = interval(MEASURE_EVERY);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.advance().await.map_err(consume_error)?;
            let now = Instant::now();
            let wake = self.hostings.values().filter_map(|hosting| hosting.wake(now)).min();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                taken = self.intake.next() => self.take(taken).await?,
                Some(end) = self.tasks.join_next_with_id() => {
                    self.ended(end);
                    while let Some(end) = self.tasks.try_join_next_with_id() {
                        self.ended(end);
                    }
                }
                Some(notice) = self.notices.recv() => self.notice(notice),
                Some(Command::Replace(destinations, answer)) = commands.recv() => {
                    // Nobody waits for the answer any more when this fails.
                    drop(answer.send(self.replace(destinations).await));
                }
                () = sleep_until(wake.unwrap_or(now)), if wake.is_some() => {}
                _ = measure.tick() => self.hostings.values().for_each(Hosting::measure),
                end = &mut self.hand_over => return Err(hand_over_ended(end)),
            }
        }
    }

    /// Lets time pass at every gate, holds and lets flow what changed, and begins every attempt that may begin.
    async fn advance(&mut self) -> Result<(), ConsumeError> {
        let now = Instant::now();
        for hosting in self.hostings.values_mut() {
            hosting.gate.tick(now);
            let shut = hosting.gate.is_shut(now);
            if shut != hosting.held {
                // Held first, so that what is given back is not handed out again at once.
                self.intake.hold(&hosting.channel, shut).await?;
                hosting.held = shut;
                if shut {
                    hosting.give_back(None);
                }
            }
            while let Some(job) = hosting.next(now) {
                let attempting = Attempting {
                    destination: job.destination.clone(),
                    serial: job.serial,
                    key: job.taken.record.key.clone(),
                    trial: job.trial,
                };
                let bench = self.bench.clone();
                let task = self.tasks.spawn(async move { Some(attempt(bench, job).await) });
                self.attempts.insert(task.id(), attempting);
            }
        }
        Ok(())
    }

    /// Queues a settlement without waiting for room.
    fn settle(&mut self, settlement: Settlement) {
        let settlements = self.bench.settlements.clone();
        self.tasks.spawn(async move {
            // Refused only when the runtime ends without settling; dropping it then gives the record back.
            drop(settlements.send(settlement).await);
            None
        });
    }

    /// Ends: what was not attempted is given back, what is under way may end and be settled until `deadline`. Returns
    /// whether all was.
    async fn drain(mut self, deadline: Instant) -> bool {
        for hosting in self.hostings.values_mut() {
            hosting.give_back(None);
        }
        let attempts = async { while self.tasks.join_next().await.is_some() {} };
        let ended = timeout_at(deadline, attempts).await.is_ok();
        self.tasks.shutdown().await;
        // The last sender: the hand-over ends when it has settled what it was sent.
        drop(self.bench);
        let settled = match timeout_at(deadline, &mut self.hand_over).await {
            Ok(Ok(Ok(()))) => true,
            Ok(Ok(Err(Fenced)) | Err(_)) | Err(_) => false,
        };
        self.hostings.values().for_each(Hosting::unmeasure);
        ended && settled
    }
}

async fn consume(
    broker: &dyn Broker,
    destinations: &[Hosted],
) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
    let channels: Vec<_> = destinations.iter().map(|hosted| ChannelName::deliver(&hosted.name)).collect();
    broker.consume(&channels, &GroupName::dispatcher(), Start::Oldest).await
}

fn consume_error(error: ConsumeError) -> RuntimeError {
    match error {
        ConsumeError::Fenced => RuntimeError::Fenced,
        error => RuntimeError::Consume(error),
    }
}

fn hand_over_ended(end: Result<Result<(), Fenced>, JoinError>) -> RuntimeError {
    match end {
        // It ends without being fenced only after the pump, which holds a sender.
        Ok(Ok(()) | Err(Fenced)) => RuntimeError::Fenced,
        Err(error) => RuntimeError::Failed(error),
    }
}
