//! R1: `kill -9` of a router, again and again.

use std::time::Duration;

use rand::RngExt as _;
use trunkline_tests::{Seed, UnderLoad, counted};

use super::Rabbit;

/// What one kill may repeat: the records that a router has unsettled, 300 of each of four partitions.
const PREFETCHED: usize = 4 * 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_is_killed_loses_nothing() {
    let case = "R1 a_router_that_is_killed_loses_nothing";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let mut random = Seed::of_this_run().generator(1);
    let world = UnderLoad::start(rabbit.ground(case).await).await;
    let kills = counted(2, 100);
    for _ in 0..kills {
        world.flows(20).await;
        tokio::time::sleep(Duration::from_micros(random.random_range(0..300_000))).await;
        world.fleet.kill_and_restart("router").await;
    }
    world.flows(20).await;
    world.judge(case, PREFETCHED * kills as usize).await;
}
