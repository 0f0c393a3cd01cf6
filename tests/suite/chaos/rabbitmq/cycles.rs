//! R6: deliveries that go through the levels of delay ten times, each time back to the queue they came from.

use std::collections::BTreeMap;
use std::sync::Mutex;

use trunkline_sdk::testing::Answer;
use trunkline_tests::load::Plan;
use trunkline_tests::under_load::tag;
use trunkline_tests::{Scene, Tag, UnderLoad, counted};

use super::Rabbit;

const CYCLES: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_cycles_through_the_levels_of_delay_drop_nothing() {
    let case = "R6 ten_cycles_through_the_levels_of_delay_drop_nothing";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let retry =
        "concurrency: 8\ncircuit: { failures: 0 }\nretry: { max_attempts: 20, first: 100ms, max: 400ms }";
    let scene = Scene {
        plan: Plan { producers: 4, keys: 5, events: counted(2, 25) },
        destination: retry.to_owned(),
        ..Scene::default()
    };
    let mut world = UnderLoad::quiet(rabbit.ground(case).await, scene).await;
    let attempts: Mutex<BTreeMap<Tag, usize>> = Mutex::default();
    world.receiver.answer_by(move |request| {
        let mut attempts = attempts.lock().unwrap();
        let before = attempts.entry(tag(request)).or_default();
        *before += 1;
        if *before <= CYCLES { Answer::status(503) } else { Answer::ok() }
    });
    world.go_on();
    world.finish().await;
    let all = world.ledger.all_acked().len() * (CYCLES + 1);
    world.flows_to(all).await;
    // Every delivery was attempted exactly so often: none was dropped on its way, none made twice.
    let verdict = world.judge(case, all).await;
    assert_eq!(verdict.dup, all - verdict.distinct, "{verdict}");
}
