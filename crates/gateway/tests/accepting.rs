//! What a gateway promises with its answer: accepted is stored, a duplicate is recognised, a failure is no 2xx.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use metrics::Counter;
use trunkline_gateway::intake::{Acceptance, Intake, IntakeParts, Refused, Submission};
use trunkline_sdk::broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake as BrokerIntake,
    Lag, LagError, Observer, Outgoing, PublishError, PublishFailure, RecordFailure, Settler, Start,
    TopologyError,
};
use trunkline_sdk::config::JourneyMode;
use trunkline_sdk::core::journey::{JourneyRecord, Step};
use trunkline_sdk::testing::TestBus;
use trunkline_sdk::{Adapters, Event, async_trait::async_trait, tokio};

/// The real engine, which can be told to be away, and which counts publishes.
struct Flaky {
    engine: Arc<dyn Broker>,
    away: AtomicBool,
    slow: AtomicBool,
    publishes: AtomicUsize,
}

#[async_trait]
impl Broker for Flaky {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        self.engine.ensure(specs, mode).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        self.publishes.fetch_add(1, Ordering::SeqCst);
        while self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if self.away.load(Ordering::SeqCst) {
            let failure =
                |index| RecordFailure { index, failure: PublishFailure::Unavailable("away".into()) };
            return Err(PublishError { failures: (0..batch.len()).map(failure).collect() });
        }
        self.engine.publish(batch).await
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        from: Start,
    ) -> Result<(Box<dyn BrokerIntake>, Arc<dyn Settler>), ConsumeError> {
        self.engine.consume(channels, group, from).await
    }

    async fn observe(&self, channel: &ChannelName, from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        self.engine.observe(channel, from).await
    }

    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError> {
        self.engine.lag(channel, group).await
    }

    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError> {
        self.engine.remove(channel, force).await
    }
}

struct World {
    bus: TestBus,
    broker: Arc<Flaky>,
    intake: Intake,
}

impl World {
    async fn start(dedupe: Duration) -> Self {
        let bus = TestBus::start("version: 1", Adapters::new()).await.unwrap();
        let broker = Arc::new(Flaky {
            engine: bus.broker(),
            away: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            publishes: AtomicUsize::new(0),
        });
        let (intake, _task) = Intake::start(IntakeParts {
            broker: broker.clone(),
            store: bus.store(),
            instance: "test".to_owned(),
            journey: JourneyMode::All,
            dedupe,
            max_record: 64 * 1024,
            max_waiting: 100,
            confirm_timeout: Duration::from_secs(10),
        });
        Self { bus, broker, intake }
    }

    async fn submit(&self, event: &Event) -> Result<Vec<Acceptance>, Refused> {
        self.intake
            .submit(Submission {
                events: vec![event.clone()],
                headers: Vec::new(),
                accepted: Counter::noop(),
            })
            .await
    }

    async fn stored(&self) -> usize {
        let lag = self.bus.broker().lag(&ChannelName::events(), &GroupName::router()).await.unwrap();
        lag.iter().map(|lag| lag.records as usize).sum()
    }
}

fn event(id: &str) -> Event {
    Event::builder(id, "shop", "order.created").json("{}").build().unwrap()
}

const WINDOW: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_inside_the_window_is_recognised() {
    let world = World::start(WINDOW).await;
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Accepted]));
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Duplicate]));
    assert_eq!(world.submit(&event("2")).await, Ok(vec![Acceptance::Accepted]));
    assert_eq!(world.stored().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_window_nothing_is_remembered() {
    let world = World::start(Duration::ZERO).await;
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Accepted]));
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Accepted]));
    assert_eq!(world.stored().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_equal_events_at_once_one_is_stored() {
    let world = Arc::new(World::start(WINDOW).await);
    let mut submitting = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let world = world.clone();
        submitting.spawn(async move { world.submit(&event("same")).await.unwrap()[0] });
    }
    let answers = submitting.join_all().await;
    let accepted = answers.iter().filter(|answer| **answer == Acceptance::Accepted).count();
    assert_eq!((accepted, world.stored().await), (1, 1));
    let batch = vec![event("x"), event("y"), event("x")];
    let answer = world
        .intake
        .submit(Submission { events: batch, headers: Vec::new(), accepted: Counter::noop() })
        .await
        .unwrap();
    assert_eq!(answer, [Acceptance::Accepted, Acceptance::Accepted, Acceptance::Duplicate]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_did_not_confirm_is_neither_accepted_nor_seen() {
    let world = World::start(WINDOW).await;
    world.broker.away.store(true, Ordering::SeqCst);
    assert_eq!(world.submit(&event("1")).await, Err(Refused::Unavailable));
    world.broker.away.store(false, Ordering::SeqCst);
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Accepted]), "a failed one was not seen");
    assert_eq!(world.stored().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn equals_share_the_failure_of_the_first() {
    let world = Arc::new(World::start(WINDOW).await);
    world.broker.away.store(true, Ordering::SeqCst);
    world.broker.slow.store(true, Ordering::SeqCst);
    let submit = |world: Arc<World>| tokio::spawn(async move { world.submit(&event("same")).await });
    let first = submit(world.clone());
    while world.broker.publishes.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let second = submit(world.clone());
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.broker.slow.store(false, Ordering::SeqCst);
    assert_eq!(first.await.unwrap(), Err(Refused::Unavailable));
    assert_eq!(second.await.unwrap(), Err(Refused::Unavailable), "nobody is told 2xx for what is nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_events_are_accepted_undeduplicated() {
    let world = World::start(WINDOW).await;
    world.bus.store().close().await;
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Accepted]));
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Accepted]));
    assert_eq!(world.stored().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_for_the_broker_is_refused_and_not_counted() {
    let world = World::start(WINDOW).await;
    let large = Event::builder("large", "shop", "t").binary("x/y", vec![0; 70 * 1024]).build().unwrap();
    let batch =
        Submission { events: vec![event("1"), large], headers: Vec::new(), accepted: Counter::noop() };
    assert!(matches!(world.intake.submit(batch).await, Err(Refused::TooLarge { limit: 65536, .. })));
    assert_eq!(world.submit(&event("1")).await, Ok(vec![Acceptance::Duplicate]), "the other was stored");
    let mut journey = world.bus.broker().observe(&ChannelName::journey(), Start::Oldest).await.unwrap();
    let record = JourneyRecord::decode(journey.next().await.unwrap()[0].value.clone()).unwrap();
    assert_eq!((record.counts.accepted, record.steps.len(), record.steps[0].step), (1, 1, Step::Accepted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_refused_and_memory_stays_bounded() {
    let world = Arc::new(World::start(WINDOW).await);
    world.broker.slow.store(true, Ordering::SeqCst);
    let mut submitting = tokio::task::JoinSet::new();
    for number in 0..6_000 {
        let world = world.clone();
        submitting.spawn(async move { world.submit(&event(&number.to_string())).await });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    world.broker.slow.store(false, Ordering::SeqCst);
    let answers = submitting.join_all().await;
    let refused = answers.iter().filter(|answer| **answer == Err(Refused::Overloaded)).count();
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(refused + accepted, 6_000);
    assert!(refused > 0, "100 may wait, and a batch of 1,000 be under way");
    assert_eq!(world.stored().await, accepted);
}
