//! Events of one key arrive in the order they were accepted, while nothing is retried; other keys do not wait for them.

use std::sync::Arc;
use std::time::Duration;

use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::load::{Load, Plan};
use trunkline_tests::{Instance, Ledger, Oracle, Setup, fixture, heavy};

use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_key_keeps_its_order_through_the_whole_bus() {
    let _alone = heavy::load().await;
    let receiver = Receiver::start().await.unwrap();
    // Answers take different times, so that whatever could overtake would.
    receiver.answer_by(|request| {
        let at = request.header("ce-id").map_or(0, |id| id.bytes().map(u64::from).sum());
        Answer::ok().after(Duration::from_millis(at % 4))
    });
    let destination = fixture::http("crm", &receiver.url("/crm"), "ordering: key\nconcurrency: 32");
    let subscription = fixture::subscription("everything", "{ source: [oracle] }", "crm");
    let bus = Instance::start(Setup::new(fixture::sections(&[destination], &[subscription]))).await;
    let ledger = Arc::new(Ledger::create(&bus.folder().join("acked")));
    let plan = Plan { producers: 8, keys: 5, events: 50 };
    Load::start(&bus.gateway("/v1/events"), &ledger, plan).finish().await;
    bus.settled(SOON).await;
    Oracle::new(&ledger, &receiver.requests()).judge().expect("order", 0);
}

/// Invariant 11: one destination's trouble never slows another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_hangs_keeps_no_other_waiting() {
    let (well, hanging) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    hanging.answer_always(Answer::hang());
    let destinations = [
        fixture::http("well", &well.url("/"), ""),
        fixture::http("hanging", &hanging.url("/"), "timeout: 1h\nconcurrency: 2"),
    ];
    let subscriptions =
        ["well", "hanging"].map(|name| fixture::subscription(name, "{ source: [suite] }", name));
    let bus = Instance::start(Setup::new(fixture::sections(&destinations, &subscriptions))).await;
    for at in 0..300 {
        super::publish(&bus, &format!("e{at}")).await;
    }
    well.wait_for(300, SOON).await.expect("the healthy destination waits for the other");
    assert!(hanging.count() <= 2, "concurrency is 2, {} requests", hanging.count());
}
