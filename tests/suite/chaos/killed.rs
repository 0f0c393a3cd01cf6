//! E1: `kill -9` of `up` at random moments under load.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::load::{Load, Plan};
use trunkline_tests::under_load::same_ids;
use trunkline_tests::{Instance, Ledger, Seed, Setup, fixture, heavy, rounds};

use super::oracle;

const KILLS: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let _alone = heavy::load().await;
    let seed = Seed::of_this_run();
    for round in 0..rounds() {
        let mut random = seed.generator(round);
        let receiver = Receiver::start().await.unwrap();
        let destination = fixture::http("all", &receiver.url("/all"), "concurrency: 8");
        let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
        let bus = Instance::start(Setup::new(fixture::sections(&[destination], &[subscription]))).await;
        let ledger = Arc::new(Ledger::create(&bus.folder().join("acked")));
        let plan = Plan { producers: 4, keys: 3, events: u32::MAX };
        let load = Load::start(&bus.gateway("/v1/events"), &ledger, plan);
        for _ in 0..KILLS {
            tokio::time::sleep(Duration::from_micros(random.random_range(0..1_500_000))).await;
            bus.kill().await;
            bus.restart().await;
        }
        load.stop().await;
        bus.settled(Duration::from_secs(60)).await;
        let received = receiver.requests();
        same_ids(&received);
        let verdict = oracle(&bus, &ledger, &received).await.judge();
        // What was under way comes again, and what was delivered and not settled yet: a batch of settlements at most.
        verdict.expect(&format!("E1 round {round}"), KILLS as usize * (8 + 256));
        assert!(bus.terminate(Duration::from_secs(30)).await.success());
    }
}
