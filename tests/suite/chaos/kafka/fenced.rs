//! K4: a router halted for longer than its session. K12: two routers under one name.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use trunkline_tests::eventually;

use super::{PARTITIONS, RECOVERED, Routing, lasting, repeated, session};

/// Events a second, and keys.
const LOAD: (u32, u32) = (1000, 64);

/// Waits until the members of the routers' group have so many partitions, in ascending order.
async fn shared(routing: &Routing, shares: &[usize]) {
    let operator = routing.operator();
    let topic = routing.topic("events");
    eventually(format!("shares of {shares:?} partitions"), RECOVERED, async || {
        let mut found: Vec<usize> = operator.shares(&topic).into_values().collect();
        found.sort_unstable();
        (found == shares).then_some(())
    })
    .await;
}

async fn halted(case: &str, settings: &str, dup: usize) {
    let Some(mut routing) = Routing::start(case, settings, &["first", "second"]).await else { return };
    shared(&routing, &[PARTITIONS / 2; 2]).await;
    let stream = routing.stream(LOAD.0, LOAD.1, 0);
    routing.resumes().await;
    let first = &routing.fleet.member("first").process;
    first.signal(Signal::STOP);
    let halted = Instant::now();
    shared(&routing, &[PARTITIONS]).await;
    println!("{case}: missed after {:?}", halted.elapsed());
    let pause = lasting(2 + session().as_secs(), 60);
    tokio::time::sleep(pause.saturating_sub(halted.elapsed())).await;
    let went_on = Instant::now();
    first.signal(Signal::CONT);
    shared(&routing, &[PARTITIONS / 2; 2]).await;
    println!("{case}: shared again {:?} after it went on", went_on.elapsed());
    stream.stop().await;
    for (name, member) in routing.fleet.members() {
        assert!(member.process.exited().is_none(), "{name} ended:\n{}", member.process.log());
    }
    routing.judge(case, dup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k4_a_halted_router_that_goes_on_settles_nothing_of_others() {
    // It may publish what it had in hand, twice a batch: one was being handed over, and the next was routed.
    halted("K4", "", 2 * repeated(LOAD.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k4_a_halted_router_that_goes_on_repeats_nothing_in_transactions() {
    halted("K4 exactly once", "exactly_once: true", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k12_of_two_routers_with_one_name_the_older_ends_with_5() {
    let case = "K12";
    let Some(mut routing) = Routing::start(case, "exactly_once: true", &["router"]).await else { return };
    let stream = routing.stream(LOAD.0, LOAD.1, 0);
    routing.resumes().await;
    let launched = Instant::now();
    routing.fleet.launch_as("successor", "router", "router", &[]);
    let older = &routing.fleet.member("router").process;
    let status = older.ended(RECOVERED).await;
    let took = launched.elapsed();
    println!("{case}: the older one ended {took:?} after its successor was started");
    assert_eq!(status.code(), Some(5), "{}", older.log());
    assert!(took <= Duration::from_secs(5), "{took:?} to end");
    routing.fleet.ready("successor").await;
    routing.read();
    routing.resumes().await;
    stream.stop().await;
    routing.judge(case, 0).await;
}
