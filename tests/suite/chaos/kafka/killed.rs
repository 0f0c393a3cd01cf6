//! K1 and K2: `kill -9` of a router in the middle of a batch, at least once and exactly once.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use trunkline_tests::Seed;

use super::{Routing, times};

/// Events a second, and keys.
const LOAD: (u32, u32) = (2000, 64);
/// Until a killed router's work goes on: its session, the rebalance, the start.
const RECOVERY: Duration = Duration::from_secs(10);

async fn killed_again_and_again(case: &str, settings: &str, repeats: bool) {
    let Some(mut routing) = Routing::start(case, settings, &["router"]).await else { return };
    let mut random = Seed::of_this_run().generator(0);
    let stream = routing.stream(LOAD.0, LOAD.1, 0);
    routing.resumes().await;
    let (kills, mut slowest, mut most, mut last) = (times(2, 100), Duration::ZERO, 0, 0);
    for kill in 1..=kills {
        tokio::time::sleep(Duration::from_micros(random.random_range(0..1_500_000))).await;
        let router = &routing.fleet.member("router").process;
        router.kill().await;
        let killed = Instant::now();
        router.restart();
        // What it had made before it was killed is no sign of its return.
        routing.read();
        routing.resumes().await;
        let recovery = killed.elapsed();
        slowest = slowest.max(recovery);
        let distinct: std::collections::HashSet<_> = routing.received.iter().collect();
        let dup = routing.received.len() - distinct.len();
        println!("{case}: kill {kill} of {kills}: {recovery:?} to recover, {} repeated", dup - last);
        most = most.max(dup - last);
        last = dup;
    }
    stream.stop().await;
    routing.arrives().await;
    let permitted = if repeats { routing.repeated_at_most() } else { 0 };
    routing.judge(case, kills as usize * permitted).await;
    println!(
        "{case}: {kills} kills, slowest recovery {slowest:?}, most repeated by one {most}, permitted {permitted}"
    );
    assert!(most <= permitted, "{most} repeated by one kill, {permitted} permitted");
    assert!(slowest <= RECOVERY, "{slowest:?} to recover");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k1_a_router_is_killed_mid_batch() {
    killed_again_and_again("K1", "", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k2_a_router_is_killed_mid_transaction() {
    killed_again_and_again("K2", "exactly_once: true", false).await;
}
