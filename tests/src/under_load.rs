//! Four processes that deliver every event of the producers to one receiver, under load; the oracle judges at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use trunkline_sdk::testing::{Answer, ReceivedRequest, Receiver};

use crate::load::{Load, Plan};
use crate::{Fleet, Ground, Ledger, Oracle, Setup, Tag, Verdict, eventually, fixture};

/// What a rebalance after a kill and the work that waited may take on a busy machine.
pub const RECOVERED: Duration = Duration::from_secs(90);

/// What a case has of its own.
pub struct Scene {
    /// How much is sent.
    pub plan: Plan,
    /// Further settings of the destination, one a line.
    pub destination: String,
    /// Whether the platform takes an event; it refuses others for good, so that they become dead letters.
    pub takes: fn(Tag) -> bool,
    /// Further settings of `gateway:`, one a line.
    pub gateway: String,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            plan: Plan { producers: 4, keys: 3, events: u32::MAX },
            destination: "concurrency: 8".to_owned(),
            takes: |_tag| true,
            gateway: String::new(),
        }
    }
}

/// The processes, their load and the platform.
pub struct UnderLoad {
    /// `gateway`, `router`, `dispatcher`, `console`, and what a case adds.
    pub fleet: Fleet,
    /// The platform.
    pub receiver: Receiver,
    /// What producers know.
    pub ledger: Arc<Ledger>,
    load: Option<Load>,
    /// How many producers there were.
    producers: u32,
    scene: Scene,
}

impl UnderLoad {
    /// Starts the processes, then the load.
    pub async fn start(ground: Ground) -> Self {
        Self::play(ground, Scene::default()).await
    }

    /// As [`UnderLoad::start`], with further settings of `gateway:`.
    pub async fn on(ground: Ground, gateway: &str) -> Self {
        Self::play(ground, Scene { gateway: gateway.to_owned(), ..Scene::default() }).await
    }

    /// As [`UnderLoad::start`], for a case with something of its own.
    pub async fn play(ground: Ground, scene: Scene) -> Self {
        let mut this = Self::quiet(ground, scene).await;
        this.go_on();
        this
    }

    /// As [`UnderLoad::play`], with no load yet.
    pub async fn quiet(ground: Ground, scene: Scene) -> Self {
        let receiver = Receiver::start().await.unwrap();
        let takes = scene.takes;
        receiver
            .answer_by(move |request| if takes(tag(request)) { Answer::ok() } else { Answer::status(422) });
        let destination = fixture::http("all", &receiver.url("/all"), &scene.destination);
        let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
        let setup = Setup::new(fixture::sections(&[destination], &[subscription])).gateway(&scene.gateway);
        let mut fleet = Fleet::new(ground, setup).await;
        fleet.launch_all().await;
        let ledger = Arc::new(Ledger::create(&fleet.folder().join("acked")));
        Self { fleet, receiver, ledger, load: None, producers: 0, scene }
    }

    /// Starts the load, also after a pause: with keys that were not used before.
    pub fn go_on(&mut self) {
        assert!(self.load.is_none(), "the load runs");
        let (url, plan) = (self.fleet.url("gateway", "/v1/events"), self.scene.plan);
        self.load = Some(Load::start_from(&url, &self.ledger, plan, self.producers));
        self.producers += plan.producers;
    }

    /// Ends the load; what is under way is acknowledged before this returns.
    pub async fn pause(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop().await;
        }
    }

    /// Waits until all that is planned is acknowledged.
    pub async fn finish(&mut self) {
        if let Some(load) = self.load.take() {
            load.finish().await;
        }
    }

    /// Waits until so many more attempts were made.
    pub async fn flows(&self, more: usize) {
        self.flows_to(self.receiver.count() + more).await;
    }

    /// Waits until so many attempts were made since the start.
    pub async fn flows_to(&self, wanted: usize) {
        let what = format!("{wanted} attempts");
        eventually(what, RECOVERED, async || (self.receiver.count() >= wanted).then_some(())).await;
    }

    /// Ends the load and waits until all that was acknowledged and that the platform takes has arrived.
    pub async fn arrived(&mut self, within: Duration) {
        self.pause().await;
        let takes = self.scene.takes;
        let acked: BTreeSet<Tag> = self.ledger.all_acked().into_iter().filter(|tag| takes(*tag)).collect();
        eventually("everything acknowledged to arrive", within, async || {
            let received = self.receiver.requests().iter().map(tag).collect();
            (acked.difference(&received).count() == 0).then_some(())
        })
        .await;
    }

    /// Ends the load and judges: nothing lost, nothing out of order, at most `dup` twice; what the platform does not take, and
    /// nothing else, is a dead letter.
    pub async fn judge(mut self, case: &str, dup: usize) -> Verdict {
        self.arrived(RECOVERED).await;
        let Self { fleet, receiver, ledger, scene, .. } = self;
        fleet.settled(RECOVERED).await;
        let taken: Vec<ReceivedRequest> =
            receiver.requests().into_iter().filter(|request| (scene.takes)(tag(request))).collect();
        same_ids(&taken);
        let mut oracle = Oracle::new(&ledger, &taken);
        let dead = fleet.list("/api/v1/dead-letters?limit=500").await;
        oracle.dead = dead.iter().filter_map(|letter| Tag::parse(letter["event_id"].as_str()?)).collect();
        let innocent = oracle.dead.iter().filter(|tag| (scene.takes)(**tag)).count();
        assert_eq!(innocent, 0, "{case}: dead letters that the platform takes");
        let verdict = oracle.judge();
        verdict.expect(case, dup);
        verdict
    }
}

/// The tag of a request's event.
#[track_caller]
pub fn tag(request: &ReceivedRequest) -> Tag {
    let id = request.header("ce-id").unwrap_or_default();
    Tag::parse(id).unwrap_or_else(|| panic!("received what no producer makes: {request:?}"))
}

/// Asserts that whatever came more than once came under one id.
#[track_caller]
pub fn same_ids(received: &[ReceivedRequest]) {
    let mut ids = std::collections::BTreeMap::new();
    for request in received {
        let id = ids.entry(request.header("ce-id")).or_insert(request.header("webhook-id"));
        assert_eq!(*id, request.header("webhook-id"), "{:?} came under two ids", request.header("ce-id"));
    }
}
