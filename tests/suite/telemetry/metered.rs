use serde_json::json;
use trunkline_tests::collector::Collector;
use trunkline_tests::{eventually, fixture};

use super::{bus, delivered};
use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_arrive_under_the_names_that_prometheus_sees() {
    let collector = Collector::start().await;
    let mut environment = collector.environment();
    environment.push(("OTEL_SERVICE_NAME".to_owned(), "bus of the suite".to_owned()));
    environment.push(("OTEL_EXPORTER_OTLP_HEADERS".to_owned(), "x-team=suite%20team".to_owned()));
    let (bus, receiver) = bus(environment).await;
    bus.publish(&fixture::event("e1", "suite.made", json!({}))).await.expect(202);
    delivered(&receiver).await;
    let counters = ["trunkline_gateway_events_accepted_total", "trunkline_lease_changes_total"];
    let histograms = [
        "trunkline_publish_duration_seconds",
        "trunkline_hand_over_duration_seconds",
        "trunkline_delivery_duration_seconds",
    ];
    let of = |name: &str| ("bus of the suite".to_owned(), name.to_owned());
    let seen = eventually("the metrics of a delivery", SOON, async || {
        let seen = collector.metrics();
        let counted = |name: &&str| seen.get(&of(name)).is_some_and(|metric| metric.total >= 1.0);
        (counters.iter().chain(&histograms).all(counted)).then_some(seen)
    })
    .await;
    assert_eq!(seen[&of(counters[0])].total, 1.0);
    assert!(histograms.iter().all(|name| seen[&of(name)].histogram), "{seen:#?}");
    let leases = &seen[&of(counters[1])].attributes;
    assert!(leases.iter().all(|labels| labels["change"] == "assigned"), "{leases:?}");
    assert!(seen[&of("process_resident_memory_bytes")].total > 1e6);
    for lag in ["trunkline_channel_lag_records", "trunkline_channel_oldest_seconds"] {
        let attributes = &seen[&of(lag)].attributes;
        assert!(
            attributes
                .iter()
                .any(|labels| labels["channel"] == "deliver.all" && labels["group"] == "dispatcher")
        );
    }
    // What Prometheus sees is the same.
    let text = bus.metrics().await;
    for (_, name) in seen.keys() {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
    let requests = collector.receiver().requests();
    assert!(requests.iter().all(|request| request.header("x-team") == Some("suite team")));
}
