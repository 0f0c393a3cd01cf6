use std::time::{Duration, Instant};

use serde_json::json;
use trunkline_sdk::testing::Answer;
use trunkline_tests::collector::{Collector, exporting_to};
use trunkline_tests::{fixture, ports};

use super::bus;
use crate::SOON;

const EVENTS: usize = 300;

/// Publishes and delivers events, and says how long that took until everything was delivered.
async fn carried(environment: Vec<(String, String)>) -> (Duration, String) {
    let (bus, receiver) = bus(environment).await;
    let began = Instant::now();
    for at in 0..EVENTS {
        bus.publish(&fixture::event(&format!("e{at}"), "suite.made", json!({}))).await.expect(202);
    }
    receiver.wait_for(EVENTS, SOON).await.expect("not all were delivered");
    let took = began.elapsed();
    bus.settled(SOON).await;
    let told = Instant::now();
    assert!(bus.terminate(SOON).await.success());
    assert!(told.elapsed() < Duration::from_secs(8), "it took {:?} to stop", told.elapsed());
    (took, bus.log())
}

/// Nobody listens, or somebody listens and never answers: the bus carries and stops as if nobody were asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_slows_nothing() {
    let (alone, _) = carried(Vec::new()).await;
    let (away, log) = carried(exporting_to(&format!("http://127.0.0.1:{}", ports::free()))).await;
    let silent = Collector::start().await;
    silent.receiver().answer_always(Answer::hang());
    let (hung, _) = carried(silent.environment()).await;
    println!(
        "{EVENTS} events: {alone:?} alone, {away:?} with no collector there, {hung:?} with one that hangs"
    );
    // An export that anybody waited for would take its time-out of ten seconds.
    for with in [away, hung] {
        assert!(with < alone * 3 + Duration::from_secs(3), "{with:?} against {alone:?}");
    }
    let said = log.lines().filter(|line| line.contains("the collector does not take telemetry")).count();
    assert!(said <= 2, "once for spans and once for metrics:\n{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_in_this_build_is_said_and_stops_nothing() {
    let collector = Collector::start().await;
    let mut environment = collector.environment();
    environment.push(("OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(), "grpc".to_owned()));
    let (bus, receiver) = bus(environment).await;
    bus.publish(&fixture::event("e1", "suite.made", json!({}))).await.expect(202);
    receiver.wait_for(1, SOON).await.expect("it was not delivered");
    let log = bus.log();
    assert!(
        log.contains("OTEL_EXPORTER_OTLP_PROTOCOL=`grpc`: only `http/protobuf` is in this build"),
        "{log}"
    );
    assert!(bus.terminate(SOON).await.success());
    assert_eq!(collector.receiver().count(), 0);
}
