//! R2: `kill -9` of the broker itself. Quorum queues are all that we declare.

use std::time::Duration;

use rand::RngExt as _;
use trunkline_tests::{Seed, UnderLoad, counted};

use super::{Rabbit, blocking};

/// What one kill may repeat: what was on its way without a confirmation, published again; and what was handed out.
const REPEATED: usize = 1000 + 4 * 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_keeps_what_it_confirmed() {
    let case = "R2 a_broker_that_is_killed_keeps_what_it_confirmed";
    let Some(rabbit) = Rabbit::for_case(case).await else { return };
    let mut random = Seed::of_this_run().generator(2);
    let world = UnderLoad::start(rabbit.ground(case).await).await;
    let kills = counted(1, 20);
    for _ in 0..kills {
        world.flows(100).await;
        tokio::time::sleep(Duration::from_micros(random.random_range(0..300_000))).await;
        let server = rabbit.0;
        blocking(move || server.kill()).await;
        // What it confirmed before is still on its way through the gateway to the ledger.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let accepted = world.ledger.all_acked().len();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(world.ledger.all_acked().len(), accepted, "accepted by nobody");
        blocking(move || server.start().unwrap()).await;
    }
    world.flows(100).await;
    world.judge(case, REPEATED * kills as usize).await;
}
