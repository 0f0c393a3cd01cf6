//! R10: queues that an operator gave a length refuse what is too much. It is tried again until it fits, under its id, and
//! what did fit is not made again.

use trunkline_tests::{RECOVERED, UnderLoad, eventually};

use super::Rabbit;

/// Deliveries that fit into the queue of one partition, beside what a consumer has in hand.
const LENGTH: u32 = 20;
/// How often the router must have tried in vain.
const TRIES: f64 = 4.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_tried_again_until_it_does() {
    let case = "R10 what_does_not_fit_is_tried_again_until_it_does";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let mut world = UnderLoad::start(rabbit.ground(case).await).await;
    world.flows(50).await;
    // A backlog of events meets one short queue of deliveries: a part of each batch of the router is stored and a part is not.
    world.fleet.retire("router").await;
    world.fleet.retire("dispatcher").await;
    let accepted = world.ledger.all_acked().len();
    eventually("a backlog", RECOVERED, async || {
        (world.ledger.all_acked().len() > accepted + 1500).then_some(())
    })
    .await;
    world.pause().await;
    let policy = format!("{}short", world.fleet.prefix());
    rabbit.limit(&policy, &format!("{}deliver.all:dispatcher:0", world.fleet.prefix()), LENGTH).await;
    world.fleet.launch("router", "router", &[]);
    world.fleet.ready("router").await;
    eventually("the router to be refused", RECOVERED, async || {
        let failures = world.fleet.metric("router", "trunkline_hand_over_failures_total", &[]).await;
        (failures >= TRIES).then_some(())
    })
    .await;
    world.fleet.launch("dispatcher", "dispatcher", &[]);
    world.arrived(RECOVERED).await;
    rabbit.unlimit(&policy).await;
    world.judge(case, 0).await;
}
