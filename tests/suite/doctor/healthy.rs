//! Healthy set-ups on real brokers and a real PostgreSQL: running, and before their first start.

use trunkline_sdk::testing::Receiver;
use trunkline_tests::ground::Engine;
use trunkline_tests::{Fleet, Ground, Setup, fixture};

use super::Told;

/// Nothing is found before anything is there, and nothing while it runs; what is there is seen.
async fn nothing_is_found(engine: Engine, case: &str) {
    let Some(ground) = Ground::new(engine, case).await else { return };
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("all", &receiver.url("/all"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    let setup = Setup::new(fixture::sections(&[destination], &[subscription]));
    let mut fleet = Fleet::new(ground, setup).await;
    let told = Told::of(fleet.folder(), &[], &[], 0).await;
    told.counts(0);
    assert!(told.said("seen", "broker").contains("0 of 6 channels are there"), "{told:?}");
    assert!(told.said("seen", "store").contains("schema 0; the next start"), "{told:?}");

    fleet.launch_all().await;
    let told = Told::of(fleet.folder(), &[], &[], 0).await;
    told.counts(0);
    assert!(told.said("seen", "broker").contains("6 of 6 channels are there"), "{told:?}");
    assert!(told.said("seen", "store").contains("PostgreSQL "), "{told:?}");
    let unseen = told.said("unseen", "broker");
    match engine {
        Engine::Kafka => assert!(unseen.contains("whether the user may write"), "{unseen}"),
        Engine::RabbitMq => assert!(unseen.contains("`broker.management`"), "{unseen}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_on_kafka_and_postgresql() {
    nothing_is_found(Engine::Kafka, "nothing_is_found_on_kafka_and_postgresql").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_on_rabbitmq_and_postgresql() {
    nothing_is_found(Engine::RabbitMq, "nothing_is_found_on_rabbitmq_and_postgresql").await;
}
