//! D5: `kill -9` between a platform's 200 and its settlement.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::under_load::same_ids;
use trunkline_tests::{Instance, Ledger, Seed, Setup, Tag, fixture, heavy, rounds};

use super::oracle;
use crate::SOON;

const KILLS: u32 = 5;
/// How long the platform takes to answer.
const ANSWER: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_before_settlement_repeats_the_delivery_under_its_id() {
    let _alone = heavy::load().await;
    let seed = Seed::of_this_run();
    for round in 0..rounds() {
        let mut random = seed.generator(round);
        let receiver = Receiver::start().await.unwrap();
        receiver.answer_always(Answer::ok().after(ANSWER));
        let destination = fixture::http("all", &receiver.url("/all"), "");
        let subscription = fixture::subscription("everything", "{ source: [oracle] }", "all");
        let bus = Instance::start(Setup::new(fixture::sections(&[destination], &[subscription]))).await;
        let ledger = Arc::new(Ledger::create(&bus.folder().join("acked")));
        for seq in 0..KILLS {
            let tag = Tag { producer: 0, key: 0, seq };
            let before = receiver.count();
            ledger.sending(tag);
            bus.publish(&tag.event()).await.expect(202);
            ledger.acked(tag);
            receiver.wait_for(before + 1, SOON).await.expect("not delivered");
            // Before the answer, with it, or up to its settlement, which is gathered for some milliseconds.
            tokio::time::sleep(Duration::from_micros(random.random_range(15_000..30_000))).await;
            bus.kill().await;
            bus.restart().await;
            bus.settled(SOON).await;
        }
        let received = receiver.requests();
        same_ids(&received);
        let verdict = oracle(&bus, &ledger, &received).await.judge();
        verdict.expect(&format!("D5 round {round}"), KILLS as usize);
    }
}
