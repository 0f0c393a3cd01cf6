//! D5: `kill -9` between a platform's 200 and its settlement.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::load::{Load, Plan};
use trunkline_tests::{Instance, Ledger, Seed, Setup, fixture, heavy, rounds};

use super::{oracle, same_ids};
use crate::SOON;

const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_before_settlement_repeats_one_delivery_under_its_id() {
    let _alone = heavy::load().await;
    let seed = Seed::of_this_run();
    for round in 0..rounds() {
        let mut random = seed.generator(round);
        let receiver = Receiver::start().await.unwrap();
        // Slow enough that exactly one delivery is under way when the kill comes.
        receiver.answer_always(Answer::ok().after(Duration::from_millis(20)));
        let destination = fixture::http("all", &receiver.url("/all"), "concurrency: 1");
        let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
        let mut bus = Instance::start(Setup::new(fixture::sections(&[destination], &[subscription]))).await;
        let ledger = Arc::new(Ledger::create(&bus.folder().join("acked")));
        let plan = Plan { producers: 1, keys: 4, events: 25 };
        Load::start(&bus.gateway("/v1/events"), &ledger, plan).finish().await;
        for _ in 0..KILLS {
            let more = receiver.count() + random.random_range(1..5);
            receiver.wait_for(more, SOON).await.expect("deliveries stopped");
            // Before the answer, with it, or shortly after it.
            tokio::time::sleep(Duration::from_micros(random.random_range(15_000..25_000))).await;
            bus.kill().await;
            bus.restart().await;
        }
        bus.settled(Duration::from_secs(60)).await;
        let received = receiver.requests();
        same_ids(&received);
        oracle(&bus, &ledger, &received).await.judge().expect(&format!("D5 round {round}"), KILLS);
    }
}
