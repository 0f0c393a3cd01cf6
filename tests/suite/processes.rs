//! Services as processes of their own, on Kafka and on RabbitMQ, with PostgreSQL: what holds in one process holds in many.

mod demo;
mod killed;
mod only;
mod scaled;
mod started;

use std::sync::Arc;
use std::time::Duration;

use trunkline_sdk::testing::Receiver;
use trunkline_tests::ground::Engine;
use trunkline_tests::load::{Load, Plan};
use trunkline_tests::{Fleet, Ground, Ledger, Oracle, Setup, Tag, eventually, fixture};

/// What a rebalance after a kill and the work that waited may take on a busy machine.
pub(crate) const RECOVERED: Duration = Duration::from_secs(90);

/// Four processes that send every event of the producers to one receiver, under load.
pub(crate) struct UnderLoad {
    pub(crate) fleet: Fleet,
    pub(crate) receiver: Receiver,
    pub(crate) ledger: Arc<Ledger>,
    load: Load,
}

impl UnderLoad {
    /// None where the run is without brokers.
    async fn start(engine: Engine, case: &str) -> Option<Self> {
        Some(Self::on(Ground::new(engine, case).await?, "").await)
    }

    /// As [`UnderLoad::start`], on this ground and with further settings of `gateway:`.
    pub(crate) async fn on(ground: Ground, gateway: &str) -> Self {
        let receiver = Receiver::start().await.unwrap();
        let destination = fixture::http("all", &receiver.url("/all"), "concurrency: 8");
        let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
        let setup = Setup::new(fixture::sections(&[destination], &[subscription])).gateway(gateway);
        let mut fleet = Fleet::new(ground, setup).await;
        fleet.launch_all().await;
        let ledger = Arc::new(Ledger::create(&fleet.folder().join("acked")));
        let plan = Plan { producers: 4, keys: 3, events: u32::MAX };
        let load = Load::start(&fleet.url("gateway", "/v1/events"), &ledger, plan);
        Self { fleet, receiver, ledger, load }
    }

    /// Waits until so many more were delivered.
    pub(crate) async fn flows(&self, more: usize) {
        let wanted = self.receiver.count() + more;
        let what = format!("{more} more deliveries");
        eventually(what, RECOVERED, async || (self.receiver.count() >= wanted).then_some(())).await;
    }

    /// Ends the load and judges: nothing lost, nothing out of order, at most `dup` twice.
    pub(crate) async fn judge(self, case: &str, dup: usize) {
        let Self { fleet, receiver, ledger, load } = self;
        load.stop().await;
        let acked = ledger.all_acked();
        let arrived = || Oracle::new(&ledger, &receiver.requests());
        eventually("everything acknowledged to arrive", RECOVERED, async || {
            let received = arrived().received.into_iter().collect();
            (acked.difference(&received).count() == 0).then_some(())
        })
        .await;
        fleet.settled(RECOVERED).await;
        let mut oracle = arrived();
        let dead = fleet.get("/api/v1/dead-letters?limit=500").await;
        let dead = dead["items"].as_array().unwrap().iter();
        oracle.dead = dead.filter_map(|letter| Tag::parse(letter["event_id"].as_str()?)).collect();
        oracle.judge().expect(case, dup);
    }
}
