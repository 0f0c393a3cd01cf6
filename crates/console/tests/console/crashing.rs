//! A replay that is killed, or whose broker is away, goes on where it stood: nothing is lost, little is sent twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use trunkline_console::replay::{BATCH, FIRST_BATCH};
use trunkline_sdk::async_trait::async_trait;
use trunkline_sdk::broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Lag, LagError,
    Observer, Outgoing, PublishError, PublishFailure, RecordFailure, Settler, Start, TopologyError,
};
use trunkline_sdk::chrono::Utc;
use trunkline_sdk::core::Delivery;
use trunkline_sdk::core::journey::{JourneyCounts, Step};
use trunkline_sdk::store::{DeadLetterFilter, JourneyEntry, NewReplay, Refusal, ReplayProgress};
use trunkline_sdk::testing::TestBus;
use trunkline_sdk::tokio;

use crate::made::{dead, journey};
use crate::world::{configuration, eventually, sent, worker};

/// What the broker does with the publishes that are still coming.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Stores the records, then never answers: the caller dies between the publish and its mark.
    Silent,
    /// Stores nothing and says so.
    Away,
    /// Stores everything but the records of this key.
    Without(&'static [u8]),
    /// Has no room for records of this key, ever.
    TooSmallFor(&'static [u8]),
}

/// The real engine, which after so many publishes has a fault.
struct Faulty {
    engine: Arc<dyn Broker>,
    good: AtomicUsize,
    fault: Fault,
    met: AtomicUsize,
}

impl Faulty {
    fn after(engine: Arc<dyn Broker>, good: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { engine, good: AtomicUsize::new(good), fault, met: AtomicUsize::new(0) })
    }

    async fn without(
        &self,
        batch: Vec<Outgoing>,
        key: &[u8],
        failure: fn() -> PublishFailure,
    ) -> Result<(), PublishError> {
        let failing = batch.iter().enumerate().filter(|(_, record)| record.key == key);
        let failures: Vec<RecordFailure> =
            failing.map(|(index, _)| RecordFailure { index, failure: failure() }).collect();
        self.engine.publish(batch.into_iter().filter(|record| record.key != key).collect()).await?;
        if failures.is_empty() { Ok(()) } else { Err(PublishError { failures }) }
    }
}

fn away() -> PublishFailure {
    PublishFailure::Unavailable("away".into())
}

fn too_large() -> PublishFailure {
    PublishFailure::TooLarge { size: 3, limit: 2 }
}

#[async_trait]
impl Broker for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        self.engine.ensure(specs, mode).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let good = self.good.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if good.is_ok() {
            return self.engine.publish(batch).await;
        }
        let records = batch.len();
        let published = match self.fault {
            Fault::Silent => self.engine.publish(batch).await,
            Fault::Away => {
                let failure = |index| RecordFailure { index, failure: away() };
                Err(PublishError { failures: (0..records).map(failure).collect() })
            }
            Fault::Without(key) => self.without(batch, key, away).await,
            Fault::TooSmallFor(key) => self.without(batch, key, too_large).await,
        };
        self.met.fetch_add(1, Ordering::SeqCst);
        if self.fault == Fault::Silent {
            std::future::pending::<()>().await;
        }
        published
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
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

/// A bus whose store holds this many dead letters of the CRM.
async fn filled(letters: usize) -> TestBus {
    let bus = TestBus::start(&configuration(""), trunkline_adapters::registry()).await.unwrap();
    let letters: Vec<_> = (0..letters)
        .map(|number| ("crm".to_owned(), dead(&number.to_string(), "crm", number as i64)))
        .collect();
    for chunk in letters.chunks(1000) {
        bus.store().insert_dead_letters(chunk).await.unwrap();
    }
    bus
}

fn crm() -> DeadLetterFilter {
    DeadLetterFilter { destination: Some("crm".to_owned()), ..DeadLetterFilter::default() }
}

/// Makes a replay of everything eligible; how many that is, and why the others are not.
async fn replay(bus: &TestBus, id: &str, forced: bool) -> (usize, Vec<(String, Refusal)>) {
    paced(bus, id, forced, None).await
}

async fn paced(bus: &TestBus, id: &str, forced: bool, rate: Option<f64>) -> (usize, Vec<(String, Refusal)>) {
    let selection = bus.store().select_for_replay(&crm(), forced, 5).await.unwrap();
    let new = NewReplay {
        id: id.to_owned(),
        destination: "crm".to_owned(),
        filter: crm(),
        by: "test".to_owned(),
        forced,
        as_it_was: false,
        rate,
    };
    if !selection.eligible.is_empty() {
        bus.store().create_replay(&new, &selection.eligible, 5, Utc::now()).await.unwrap();
    }
    (selection.eligible.len(), selection.refused)
}

async fn progress(bus: &TestBus, id: &str) -> ReplayProgress {
    bus.store().replay_progress(id).await.unwrap()
}

/// Works until nothing of the replay is pending.
async fn work_off(bus: &TestBus, id: &str) {
    let host = bus.host();
    let stop = host.shutdown.child_token();
    let working = tokio::spawn(worker(bus, bus.broker()).run(stop.clone()));
    eventually("the replay is worked off", async || (progress(bus, id).await.pending == 0).then_some(()))
        .await;
    stop.cancel();
    working.await.unwrap();
}

/// How often each event is among deliveries, all of one generation.
fn copies(deliveries: &[Delivery], generation: u32) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for delivery in deliveries {
        assert_eq!((delivery.generation, delivery.destination.as_str()), (generation, "crm"));
        *copies.entry(delivery.event.id().to_owned()).or_insert(0) += 1;
    }
    copies
}

/// D6 of the faults: a replay is killed five times. `TRUNKLINE_ROUNDS` makes it as many times larger.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_killed_loses_nothing_and_is_not_begun_again() {
    const KILLS: usize = 5;
    let rounds = std::env::var("TRUNKLINE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let letters: usize = 2_000 * rounds;
    let bus = filled(letters).await;
    assert_eq!(replay(&bus, "first", false).await.0, letters);
    let batches = letters / BATCH as usize;
    for kill in 0..KILLS {
        let broker = Faulty::after(bus.broker(), batches / (KILLS + 2) + kill % 2, Fault::Silent);
        let working = tokio::spawn(worker(&bus, broker.clone()).run(bus.host().shutdown.child_token()));
        eventually("it is between a publish and its mark", async || {
            (broker.met.load(Ordering::SeqCst) == 1).then_some(())
        })
        .await;
        working.abort();
        assert!(working.await.unwrap_err().is_cancelled());
    }
    assert!(progress(&bus, "first").await.pending > 0, "all of it was done before the last kill");
    work_off(&bus, "first").await;
    let first = sent(&bus, "crm").await;
    let copies_of_first = copies(&first, 1);
    assert_eq!(copies_of_first.len(), letters, "lost");
    let duplicates = first.len() - letters;
    assert!((1..=KILLS * BATCH as usize).contains(&duplicates), "{duplicates} duplicates of {KILLS} kills");

    let (eligible, refused) = replay(&bus, "second", false).await;
    assert_eq!((eligible, refused.len()), (0, letters), "what is on its way is replayed again");
    let counts = JourneyCounts { delivered: letters as u64, ..JourneyCounts::default() };
    let record = journey("dispatcher", Step::Delivered, &first, counts);
    bus.store().insert_journey(&[JourneyEntry { partition: 0, offset: 1, record }]).await.unwrap();
    let (eligible, refused) = replay(&bus, "second", false).await;
    assert_eq!((eligible, refused.len()), (0, letters), "what was delivered is replayed again");
    assert!(refused.iter().all(|(_, why)| *why == Refusal::Delivered));
    assert_eq!(replay(&bus, "forced", true).await.0, letters);
    work_off(&bus, "forced").await;
    let again = sent(&bus, "crm").await;
    assert_eq!((copies(&again, 2).len(), again.len()), (letters, letters));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_batch_under_way_and_sends_nothing_twice() {
    let bus = filled(1_000).await;
    // A batch of 100 every 100 ms: it is not over before it was stopped some times.
    paced(&bus, "r", false, Some(1_000.0)).await;
    for _ in 0..3 {
        let stop = bus.host().shutdown.child_token();
        let before = progress(&bus, "r").await.pending;
        assert!(before > 0);
        let working = tokio::spawn(worker(&bus, bus.broker()).run(stop.clone()));
        eventually("something is sent", async || (progress(&bus, "r").await.pending < before).then_some(()))
            .await;
        stop.cancel();
        working.await.unwrap();
    }
    work_off(&bus, "r").await;
    let deliveries = sent(&bus, "crm").await;
    assert_eq!((copies(&deliveries, 1).len(), deliveries.len()), (1_000, 1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_nothing_is_marked() {
    let bus = filled(250).await;
    replay(&bus, "r", false).await;
    let broker = Faulty::after(bus.broker(), 1, Fault::Away);
    let working = tokio::spawn(worker(&bus, broker.clone()).run(bus.host().shutdown.child_token()));
    eventually("two publishes failed", async || (broker.met.load(Ordering::SeqCst) == 2).then_some(())).await;
    working.abort();
    let sent_before = u64::from(FIRST_BATCH);
    let expected =
        ReplayProgress { pending: 250 - sent_before, sent: sent_before, ..ReplayProgress::default() };
    assert_eq!(progress(&bus, "r").await, expected);
    work_off(&bus, "r").await;
    let deliveries = sent(&bus, "crm").await;
    assert_eq!((copies(&deliveries, 1).len(), deliveries.len()), (250, 250));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_is_stored_in_part_the_rest_is_tried_again() {
    let bus = filled(10).await;
    replay(&bus, "r", false).await;
    let broker = Faulty::after(bus.broker(), 0, Fault::Without(b"key-7"));
    let working = tokio::spawn(worker(&bus, broker.clone()).run(bus.host().shutdown.child_token()));
    eventually("one is left", async || (progress(&bus, "r").await.sent == 9).then_some(())).await;
    working.abort();
    assert_eq!(progress(&bus, "r").await.pending, 1);
    work_off(&bus, "r").await;
    let deliveries = sent(&bus, "crm").await;
    assert_eq!((copies(&deliveries, 1).len(), deliveries.len()), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_never_takes_is_skipped_and_stops_nothing() {
    let bus = filled(10).await;
    replay(&bus, "r", false).await;
    let broker = Faulty::after(bus.broker(), 0, Fault::TooSmallFor(b"key-7"));
    let working = tokio::spawn(worker(&bus, broker).run(bus.host().shutdown.child_token()));
    eventually("it is over", async || (progress(&bus, "r").await.pending == 0).then_some(())).await;
    working.abort();
    let after = progress(&bus, "r").await;
    assert_eq!((after.sent, after.skipped), (9, 1));
    assert_eq!(sent(&bus, "crm").await.len(), 9);
}

/// A body that today's transform makes too large for the engine is found before anything is published.
#[tokio::test(flavor = "multi_thread")]
async fn what_became_too_large_is_skipped_and_not_told_as_replayed() {
    let text = configuration("").replace(
        "{ \"today\": .data.order }",
        "{ \"a\": .data.order, \"b\": .data.order, \"c\": .data.order }",
    );
    let text = text.replace("version: 1", "version: 1\nchannels: { max_record: 128KiB }");
    let bus = TestBus::start(&text, trunkline_adapters::registry()).await.unwrap();
    let large = "x".repeat(20 * 1024);
    let letters = [("crm".to_owned(), dead(&large, "crm", 1)), ("crm".to_owned(), dead("small", "crm", 2))];
    bus.store().insert_dead_letters(&letters).await.unwrap();
    replay(&bus, "r", false).await;
    work_off(&bus, "r").await;
    let after = progress(&bus, "r").await;
    assert_eq!((after.sent, after.skipped), (1, 1));
    let stored = bus.store().dead_letter(&letters[0].1.id()).await.unwrap().unwrap();
    assert!(stored.history[1].detail.contains("the engine takes"), "{}", stored.history[1].detail);
    assert_eq!(sent(&bus, "crm").await[0].event.id(), "small");
}

/// Two consoles share a store: only one works on a replay.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_workers_one_has_the_replay() {
    let bus = filled(2_000).await;
    replay(&bus, "r", false).await;
    let stop = bus.host().shutdown.child_token();
    let mut workers = Vec::new();
    for instance in ["one", "two"] {
        let worker =
            trunkline_console::replay::Worker { instance: instance.to_owned(), ..worker(&bus, bus.broker()) };
        workers.push(tokio::spawn(worker.run(stop.clone())));
    }
    eventually("it is over", async || (progress(&bus, "r").await.pending == 0).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(sent(&bus, "crm").await.len(), 2_000);
}
