//! One router, three, and one again, under load.

use trunkline_tests::ground::Engine;
use trunkline_tests::{Ground, UnderLoad};

/// What a partition that moves may repeat: what its owner before had not settled in time.
const REPEATED: usize = 1000;

async fn nothing_is_lost(engine: Engine, case: &str) {
    let Some(ground) = Ground::new(engine, case).await else { return };
    let mut world = UnderLoad::start(ground).await;
    world.flows(100).await;
    for name in ["router-2", "router-3"] {
        world.fleet.launch(name, "router", &[]);
    }
    for name in ["router-2", "router-3"] {
        world.fleet.ready(name).await;
    }
    world.flows(500).await;
    // The first one goes, too: none of them is special.
    for name in ["router", "router-3"] {
        world.fleet.retire(name).await;
        world.flows(100).await;
    }
    world.judge(case, REPEATED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_come_and_go_on_kafka() {
    nothing_is_lost(Engine::Kafka, "routers_come_and_go_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_come_and_go_on_rabbitmq() {
    nothing_is_lost(Engine::RabbitMq, "routers_come_and_go_on_rabbitmq").await;
}
