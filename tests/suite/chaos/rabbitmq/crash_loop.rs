//! R5: a dispatcher that dies of one delivery, again and again. What was handed out beside it is not blamed. That the engine
//! counts nothing against records of a crashed consumer with a thousand in hand is tried by its own tests.

use trunkline_sdk::testing::Answer;
use trunkline_tests::load::Plan;
use trunkline_tests::under_load::tag;
use trunkline_tests::{RECOVERED, Scene, Tag, UnderLoad, counted, eventually};

use super::Rabbit;

const POISON: Tag = Tag { producer: 1, key: 1, seq: 20 };
/// What a kill repeats at most: what was delivered and not settled yet, a batch of settlements.
const REPEATED: usize = 8 + 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_poison_spoils_nothing_beside_it() {
    let case = "R5 one_poison_spoils_nothing_beside_it";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let scene = Scene {
        plan: Plan { producers: 4, keys: 4, events: 60 },
        takes: |tag| tag != POISON,
        ..Scene::default()
    };
    let mut world = UnderLoad::quiet(rabbit.ground(case).await, scene).await;
    // No answer to it: the dispatcher has it in hand when it dies.
    world.receiver.answer_by(|request| if tag(request) == POISON { Answer::hang() } else { Answer::ok() });
    world.go_on();
    let crashes = counted(5, 50);
    for crash in 1..=crashes {
        eventually("the poison to come", RECOVERED, async || {
            let poison = world.receiver.requests().iter().filter(|request| tag(request) == POISON).count();
            (poison >= crash as usize).then_some(())
        })
        .await;
        world.fleet.kill_and_restart("dispatcher").await;
    }
    world
        .receiver
        .answer_by(|request| if tag(request) == POISON { Answer::status(422) } else { Answer::ok() });
    world.fleet.kill_and_restart("dispatcher").await;
    let dead = eventually("the poison to be dead", RECOVERED, async || {
        let dead = world.fleet.list("/api/v1/dead-letters?limit=500").await;
        (!dead.is_empty()).then_some(dead)
    })
    .await;
    assert!(dead.len() == 1 && dead[0]["event_id"] == POISON.id(), "{dead:?}");
    world.finish().await;
    world.judge(case, REPEATED * (crashes as usize + 1)).await;
}
