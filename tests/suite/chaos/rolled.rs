//! A rolling restart of every service, as an upgrade is, under a steady load.

use std::time::{Duration, Instant};

use trunkline_tests::ground::Engine;
use trunkline_tests::steady::Steady;
use trunkline_tests::{Ground, Scene, UnderLoad, counted};

/// Events a second.
const RATE: u32 = 500;
/// What is there twice, besides one dispatcher and one console: while one restarts the other goes on.
const SECONDS: [(&str, &str); 2] = [("gateway-2", "gateway"), ("router-2", "router")];
/// The order that docs/upgrading.md gives.
const ORDER: [&str; 6] = ["console", "dispatcher", "router", "router-2", "gateway", "gateway-2"];

async fn nobody_notices(engine: Engine, case: &str) {
    let Some(ground) = Ground::new(engine, case).await else { return };
    let mut world = UnderLoad::quiet(ground, Scene::default()).await;
    for (name, service) in SECONDS {
        world.fleet.launch(name, service, &[]);
    }
    for (name, _) in SECONDS {
        world.fleet.ready(name).await;
    }
    let gateways = ["gateway", "gateway-2"].map(|name| world.fleet.url(name, "/v1/events"));
    let (began, time) = (Instant::now(), Duration::from_secs(counted(10, 120).into()));
    let load = Steady::start(&gateways, &world.ledger, RATE);
    world.flows(1).await;
    let mut restarted = 0;
    while restarted < ORDER.len() || began.elapsed() < time {
        world.fleet.stop_and_restart(ORDER[restarted % ORDER.len()]).await;
        restarted += 1;
    }
    let sent = began.elapsed();
    let told = load.stop().await;
    let verdict = world.judge(case, usize::MAX).await;
    let rate = f64::from(u32::try_from(verdict.acked).unwrap()) / sent.as_secs_f64();
    println!("{case}: {restarted} restarts in {sent:.1?}, {rate:.0} events a second, {told:?}");
    assert_eq!(told.unavailable, 0, "{told:?}");
    assert!(told.turned > 0, "no gateway was missed, so nothing was tried");
    assert!(rate >= f64::from(RATE) / 2.0, "{rate} events a second are no load");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_is_noticed_by_nobody_on_kafka() {
    nobody_notices(Engine::Kafka, "a_rolling_restart_is_noticed_by_nobody_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_is_noticed_by_nobody_on_rabbitmq() {
    nobody_notices(Engine::RabbitMq, "a_rolling_restart_is_noticed_by_nobody_on_rabbitmq").await;
}
