//! `kill -9` of each service once, under load.

use trunkline_tests::ground::Engine;
use trunkline_tests::{Ground, UnderLoad};

/// What one kill may repeat: what the others had of its work, and what it had not settled.
const REPEATED: usize = 2000;

async fn nothing_is_lost(engine: Engine, case: &str) {
    let Some(ground) = Ground::new(engine, case).await else { return };
    let world = UnderLoad::start(ground).await;
    for service in ["gateway", "router", "dispatcher", "console"] {
        world.flows(100).await;
        world.fleet.kill_and_restart(service).await;
    }
    world.flows(100).await;
    world.judge(case, REPEATED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_may_be_killed_on_kafka() {
    nothing_is_lost(Engine::Kafka, "every_service_may_be_killed_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_may_be_killed_on_rabbitmq() {
    nothing_is_lost(Engine::RabbitMq, "every_service_may_be_killed_on_rabbitmq").await;
}
