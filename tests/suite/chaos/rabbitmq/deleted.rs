//! R3: queues that somebody deletes while all run. What nobody stores is refused, and nothing that led to it is settled; any
//! service that starts makes them again.

use trunkline_tests::{RECOVERED, Tag, UnderLoad, eventually};

use super::{Rabbit, queues};

/// What may come again: a batch of which some queues took their part.
const REPEATED: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_queues_swallow_nothing_and_come_back() {
    let case = "R3 deleted_queues_swallow_nothing_and_come_back";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let mut world = UnderLoad::start(rabbit.ground(case).await).await;
    world.flows(100).await;
    // What a deleted queue holds is gone, so there must be nothing in it.
    world.arrived(RECOVERED).await;
    world.fleet.settled(RECOVERED).await;
    rabbit.delete(&queues(&world.fleet, "deliver.all", "dispatcher")).await;

    // Accepted, and kept where they are.
    let taken = world.receiver.count();
    world.go_on();
    let accepted = world.ledger.all_acked().len();
    eventually("events to be accepted", RECOVERED, async || {
        (world.ledger.all_acked().len() >= accepted + 100).then_some(())
    })
    .await;
    eventually("the router's alarm", RECOVERED, async || (stuck(&world).await > 0.0).then_some(())).await;
    assert_eq!(world.receiver.count(), taken, "what was delivered nobody had made a delivery of");
    world.fleet.launch("another", "dispatcher", &[]);
    world.flows(100).await;
    // Each partition tries again by itself, so the last one may be a pause behind the first.
    eventually("the alarm to end", RECOVERED, async || (stuck(&world).await == 0.0).then_some(())).await;

    // Of the events themselves nothing is accepted.
    world.arrived(RECOVERED).await;
    world.fleet.settled(RECOVERED).await;
    rabbit.delete(&queues(&world.fleet, "events", "router")).await;
    for seq in 0..100 {
        let tag = Tag { producer: 1000, key: seq, seq: 0 };
        world.ledger.sending(tag);
        world.fleet.publish("gateway", &tag.event()).await.expect_later(503);
    }
    world.go_on();
    world.fleet.launch("a-third", "dispatcher", &[]);
    world.flows(100).await;
    for name in ["gateway", "router"] {
        let log = world.fleet.member(name).process.log();
        assert!(
            !log.contains("oracle.tagged"),
            "contents of returned messages are in the log of the {name}:\n{log}"
        );
    }
    world.judge(case, REPEATED).await;
}

async fn stuck(world: &UnderLoad) -> f64 {
    world.fleet.metric("router", "trunkline_hand_over_stuck", &["service=\"router\""]).await
}
