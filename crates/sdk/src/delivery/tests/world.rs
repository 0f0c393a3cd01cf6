//! A runtime with its platforms, and what happened to the deliveries.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use trunkline_broker::{ChannelName, Outgoing};
use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep};
use trunkline_core::{DeadLetter, Delivery, DestinationName, Event, RetryPolicy};

use super::engine::Engine;
use super::platform::Platform;
use super::states::States;
use crate::config::{DestinationSettings, JourneyMode};
use crate::delivery::{Clock, Hosted, RunEnd, Runtime, RuntimeError, RuntimeHandle, RuntimeParts};
use crate::secrets::Secrets;

pub(super) const GRACE: Duration = Duration::from_secs(10);

/// The engine and the states, which outlive a runtime.
#[derive(Clone)]
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) states: States,
    pub(super) clock: Clock,
    pub(super) max_record: usize,
}

/// A runtime that runs.
pub(super) struct Running {
    pub(super) handle: RuntimeHandle,
    shutdown: CancellationToken,
    task: JoinHandle<Result<RunEnd, RuntimeError>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            engine: Engine::default(),
            states: States::default(),
            clock: clock_of_tokio(),
            max_record: 1 << 20,
        }
    }

    pub(super) fn run(&self, destinations: Vec<Hosted>) -> Running {
        let parts = RuntimeParts {
            broker: Arc::new(self.engine.clone()),
            states: Arc::new(self.states.clone()),
            instance: "here".to_owned(),
            journey: JourneyMode::All,
            max_record: self.max_record,
            destinations,
            clock: self.clock.clone(),
        };
        let (runtime, handle) = Runtime::new(parts);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(runtime.run(shutdown.clone(), GRACE));
        Running { handle, shutdown, task }
    }

    /// Puts a delivery of event `id` with ordering key `key` on its way.
    pub(super) fn deliver(&self, destination: &str, key: &str, id: &str) {
        self.put(&delivery(destination, key, id));
    }

    pub(super) fn put(&self, delivery: &Delivery) {
        let channel = ChannelName::deliver(&name(&delivery.destination));
        let mut outgoing = Outgoing::new(channel, delivery.event.key(), delivery.encode());
        outgoing.headers = vec![("traceparent".to_owned(), Bytes::from_static(b"00-1-2-01"))];
        self.engine.put(outgoing);
    }

    /// Deliveries of a destination that are not settled.
    pub(super) fn backlog(&self, destination: &str) -> Vec<Delivery> {
        let values = self.engine.unsettled(&ChannelName::deliver(&name(destination)));
        values.into_iter().map(|value| Delivery::decode(value).unwrap()).collect()
    }

    pub(super) fn dead(&self, destination: &str) -> Vec<DeadLetter> {
        let values = self.engine.unsettled(&ChannelName::dead(&name(destination)));
        values.into_iter().map(|value| DeadLetter::decode(value).unwrap()).collect()
    }

    pub(super) fn journey(&self) -> (Vec<JourneyStep>, JourneyCounts) {
        let (mut steps, mut counts) = (Vec::new(), JourneyCounts::default());
        for value in self.engine.unsettled(&ChannelName::journey()) {
            let record = JourneyRecord::decode(value).unwrap();
            assert_eq!((record.instance.as_str(), record.service.as_str()), ("here", "dispatcher"));
            steps.extend(record.steps);
            counts.attempts += record.counts.attempts;
            counts.delivered += record.counts.delivered;
            counts.dead += record.counts.dead;
            counts.held += record.counts.held;
        }
        (steps, counts)
    }
}

impl Running {
    pub(super) async fn stop(self) -> Result<RunEnd, RuntimeError> {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }

    pub(super) async fn end(self) -> Result<RunEnd, RuntimeError> {
        self.task.await.unwrap()
    }

    /// As if the process was killed: nothing is settled any more, the engine gets its records back.
    pub(super) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
        // Tasks of the runtime end with it, a moment later.
        sleep(Duration::from_millis(1)).await;
    }
}

/// Lets time pass until `condition` holds; fails when that takes longer than `limit`.
#[track_caller]
pub(super) fn until(limit: Duration, condition: impl Fn() -> bool) -> impl Future<Output = Duration> {
    let caller = std::panic::Location::caller();
    async move {
        let mut passed = Duration::ZERO;
        // Long waits are looked at less often, because every look costs real time.
        let step = (limit / 12_000).max(Duration::from_millis(5));
        while !condition() {
            assert!(passed < limit, "not within {limit:?}: {caller}");
            sleep(step).await;
            passed += step;
        }
        passed
    }
}

/// A wall clock that goes as tokio's does.
fn clock_of_tokio() -> Clock {
    let start = (Instant::now(), Utc::now());
    Clock::new(move || start.1 + start.0.elapsed())
}

pub(super) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn name(destination: &str) -> DestinationName {
    DestinationName::parse(destination).unwrap()
}

pub(super) fn hosted(destination: &str, platform: &Arc<Platform>, settings: DestinationSettings) -> Hosted {
    Hosted { name: name(destination), adapter: platform.clone(), settings, secrets: Secrets::default() }
}

/// No circuit, and retries after exactly known times: 1 s, 2 s, 4 s .. at most (full jitter below that).
pub(super) fn settings() -> DestinationSettings {
    DestinationSettings { circuit_failures: 0, ..DestinationSettings::default() }
}

pub(super) fn attempts(max_attempts: u32) -> DestinationSettings {
    DestinationSettings { retry: RetryPolicy { max_attempts, ..RetryPolicy::default() }, ..settings() }
}

pub(super) fn delivery(destination: &str, key: &str, id: &str) -> Delivery {
    let event = Event::builder(id, "shop", "commerce.order.paid").key(key);
    Delivery {
        event: event.build().unwrap(),
        body: None,
        subscription: "paid".to_owned(),
        destination: destination.to_owned(),
        rule_set: "v1".to_owned(),
        attempt: 0,
        generation: 0,
        routed: DateTime::<Utc>::UNIX_EPOCH,
        first_attempt: None,
        replay_id: String::new(),
        attempts: Vec::new(),
    }
}
