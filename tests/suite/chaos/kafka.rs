//! Faults of Kafka, and of services on it (K1 to K14), on a Kafka that these cases have for themselves.

mod acks;
mod broker;
mod changed;
mod cut;
mod fenced;
mod killed;
mod poison;
mod storm;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_tests::kafka::{Follower, Operator, Private, Rate, Stream};
use trunkline_tests::{Fleet, Ground, Ledger, Oracle, Setup, Tag, eventually, fixture, rounds};

/// What a rebalance and the work that waited may take on a busy machine.
const RECOVERED: Duration = Duration::from_secs(90);
/// How often the engine commits what is settled, in seconds.
const COMMIT_INTERVAL: f64 = 0.25;
/// Events that the router hands over at once, at most.
const BATCH: usize = 4000;

/// How many partitions a channel has unless told otherwise.
const PARTITIONS: usize = 4;

/// Routers alone: events are put straight on the broker, and what is made of them is read there.
struct Routing {
    kafka: &'static Private,
    fleet: Fleet,
    prefix: String,
    ledger: Arc<Ledger>,
    /// Reads what was made of the events, when it is there.
    follower: Option<Follower>,
    received: Vec<Tag>,
    /// When each of them was made, in milliseconds since 1970.
    made: Vec<i64>,
}

impl Routing {
    /// No router runs yet. None where the run is without brokers.
    async fn new(case: &str, router: &str) -> Option<Self> {
        let kafka = Private::get(case)?;
        let ground = Ground::on(kafka.broker(session(), &[]), case).await?;
        let prefix = ground.prefix.clone();
        let destination = "  all: { external: true }\n".to_owned();
        let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
        let setup = Setup::new(fixture::sections(&[destination], &[subscription])).router(router);
        let fleet = Fleet::new(ground, setup).await;
        let ledger = Arc::new(Ledger::create(&fleet.folder().join("acked")));
        Some(Self { kafka, fleet, prefix, ledger, follower: None, received: Vec::new(), made: Vec::new() })
    }

    /// With routers of these names, ready.
    async fn start(case: &str, router: &str, names: &[&str]) -> Option<Self> {
        let mut routing = Self::new(case, router).await?;
        for name in names {
            routing.fleet.launch(name, "router", &[]);
        }
        for name in names {
            routing.fleet.ready(name).await;
        }
        Some(routing)
    }

    /// A channel's topic.
    fn topic(&self, channel: &str) -> String {
        format!("{}{channel}", self.prefix)
    }

    /// Kafka's tools, on the routers' group.
    fn operator(&self) -> Operator {
        Operator::of(self.kafka.address(), &self.topic("router"))
    }

    /// Events at a rate from now on.
    fn stream(&self, events: u32, keys: u32, producer: u32) -> Stream {
        let rate = Rate { events, keys, producer };
        Stream::start(self.kafka.address(), &self.topic("events"), &self.ledger, rate)
    }

    /// Reads on what was made of the events; says how many deliveries were new.
    fn read(&mut self) -> usize {
        let topic = self.topic("deliver.all");
        let follower = self.follower.get_or_insert_with(|| Follower::of(self.kafka.address(), &topic));
        let news = follower.read();
        self.received.extend(news.iter().map(|stored| stored.delivered()));
        self.made.extend(news.iter().map(|stored| stored.time));
        news.len()
    }

    /// What one router that is killed may repeat: what it made since it last committed, and one batch more that it was
    /// handing over. How fast it is when it catches up is seen in what it made.
    fn repeated_at_most(&self) -> usize {
        let (mut made, mut first, mut most) = (self.made.clone(), 0, 0);
        made.sort_unstable();
        for (last, time) in made.iter().enumerate() {
            while (time - made[first]) as f64 > COMMIT_INTERVAL * 1000.0 {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most + BATCH
    }

    /// Waits until more is made of events; how long that took.
    async fn resumes(&mut self) -> Duration {
        let began = Instant::now();
        eventually("events to be routed again", RECOVERED, async || (self.read() > 0).then_some(())).await;
        began.elapsed()
    }

    /// Waits until everything acknowledged was routed, as long as some of it still comes.
    async fn arrives(&mut self) {
        let (acked, mut moved) = (self.ledger.all_acked(), Instant::now());
        loop {
            if self.read() > 0 {
                moved = Instant::now();
            }
            let received: HashSet<Tag> = self.received.iter().copied().collect();
            let missing: Vec<_> = acked.iter().filter(|tag| !received.contains(tag)).collect();
            let Some(first) = missing.first() else { return };
            if moved.elapsed() > RECOVERED {
                let (count, topic, operator) = (missing.len(), self.topic("events"), self.operator());
                let (ends, committed) = (operator.ends(&topic), operator.committed(&topic));
                panic!(
                    "{count} events were not routed, {first:?} the first; ends {ends:?}, committed {committed:?}"
                );
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Judges: nothing lost, nothing out of order, at most `dup` twice.
    async fn judge(&mut self, case: &str, dup: usize) {
        self.arrives().await;
        let oracle = Oracle {
            sent: self.ledger.all_sent(),
            acked: self.ledger.all_acked(),
            received: self.received.clone(),
            ..Oracle::default()
        };
        oracle.judge().expect(case, dup);
    }
}

/// What one router that loses its place while nothing waits may repeat: what it handed over since it last committed, and one batch
/// that it was handing over.
fn repeated(events_per_second: u32) -> usize {
    (f64::from(events_per_second) * COMMIT_INTERVAL) as usize + BATCH
}

/// The quick form's number, or the full count's by `TRUNKLINE_ROUNDS` (50 for the whole).
fn times(quick: u32, whole: u32) -> u32 {
    if rounds() == 1 { quick } else { (whole * rounds()).div_ceil(50) }
}

/// After this time without a sign of life a process's partitions are given to others. 6 s are what a cluster permits
/// unless it is told otherwise.
fn session() -> Duration {
    lasting(3, 6)
}

/// The quick form's time, or the whole one.
fn lasting(quick: u64, whole: u64) -> Duration {
    Duration::from_secs(if rounds() == 1 { quick } else { whole })
}
