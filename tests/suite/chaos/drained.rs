//! D9: SIGTERM under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt as _;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::load::{Load, Plan};
use trunkline_tests::{Instance, Ledger, Seed, Setup, fixture, heavy, rounds};

use super::oracle;

/// The grace period of `up`, which is its default, and what a busy machine may add.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_loses_and_repeats_nothing() {
    let _alone = heavy::load().await;
    let seed = Seed::of_this_run();
    for round in 0..rounds() {
        let mut random = seed.generator(round);
        let receiver = Receiver::start().await.unwrap();
        receiver.answer_always(Answer::ok().after(Duration::from_millis(random.random_range(0..200))));
        let destination = fixture::http("all", &receiver.url("/all"), "concurrency: 16");
        let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
        let bus = Instance::start(Setup::new(fixture::sections(&[destination], &[subscription]))).await;
        let ledger = Arc::new(Ledger::create(&bus.folder().join("acked")));
        let plan = Plan { producers: 4, keys: 4, events: u32::MAX };
        let load = Load::start(&bus.gateway("/v1/events"), &ledger, plan);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(random.random_range(300..1_500))).await;
            let began = Instant::now();
            let status = bus.terminate(GRACE * 3).await;
            let took = began.elapsed();
            assert!(status.success(), "ended with {status} after {took:?}");
            assert!(took < GRACE + Duration::from_secs(2), "took {took:?}");
            bus.restart().await;
        }
        load.stop().await;
        bus.settled(Duration::from_secs(60)).await;
        oracle(&bus, &ledger, &receiver.requests()).await.judge().expect(&format!("D9 round {round}"), 0);
    }
}
