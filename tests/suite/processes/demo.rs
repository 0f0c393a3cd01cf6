//! The demo as a guest on a broker.

use trunkline_tests::command;
use xtask::brokers;

/// It must tell the same story as on the embedded engine, and leave nothing to remove by hand.
async fn plays_on(broker: &str) {
    let folder = tempfile::tempdir().unwrap();
    let played = command::run(&["demo", "--broker", broker], folder.path(), &[]).await.expect(0);
    for part in [
        "203 accepted = 202 routed + 1 filtered + 0 undecodable  (besides 1 duplicate)",
        "295 made = 295 delivered + 0 dead + 0 discarded + 0 in flight + 0 held",
        "balanced",
    ] {
        assert!(played.out.contains(part), "{part} is not in\n{}", played.out);
    }
    assert!(!played.out.contains("removed by hand"), "{}", played.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_plays_on_kafka() {
    let Some(shared) = brokers::shared_or_skip("the_demo_plays_on_kafka").unwrap() else { return };
    plays_on(&shared.kafka().unwrap().url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_plays_on_rabbitmq() {
    let Some(shared) = brokers::shared_or_skip("the_demo_plays_on_rabbitmq").unwrap() else { return };
    plays_on(shared.rabbitmq().unwrap().url()).await;
}
