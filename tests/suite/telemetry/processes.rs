use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::collector::{Collector, SpanKind};
use trunkline_tests::ground::Engine;
use trunkline_tests::{Fleet, Ground, Setup, eventually, fixture};

use super::traced::step;
use crate::SOON;

/// Gateway, router and dispatcher in processes of their own, and one trace through all of them and the broker between.
async fn one_trace_over_processes(engine: Engine, system: &str, case: &str) {
    let Some(ground) = Ground::new(engine, case).await else { return };
    let (collector, receiver) = (Collector::start().await, Receiver::start().await.unwrap());
    let destination = fixture::http("all", &receiver.url("/all"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    let setup = Setup::new(fixture::sections(&[destination], &[subscription]));
    let mut fleet = Fleet::new(ground, Setup { environment: collector.environment(), ..setup }).await;
    fleet.launch_all().await;
    fleet.publish("gateway", &fixture::event("e1", "suite.made", json!({}))).await.expect(202);
    let request = receiver.wait_for(1, SOON).await.expect("it was not delivered").remove(0);

    let trace = eventually("the request's span", SOON, async || {
        let first = collector.spans().into_iter().find(|span| span.name == "POST /v1/events")?;
        Some(first.trace)
    })
    .await;
    let spans = collector.trace(&trace, 5, SOON).await;
    let asked = step(&spans, "POST /v1/events", SpanKind::Server, "");
    let sent = step(&spans, "send events", SpanKind::Producer, &asked.id);
    let routed = step(&spans, "process events", SpanKind::Consumer, &sent.id);
    let made = step(&spans, "send deliver.all", SpanKind::Producer, &routed.id);
    let attempt = step(&spans, "deliver all", SpanKind::Client, &made.id);
    assert_eq!(request.header("traceparent"), Some(format!("00-{trace}-{}-01", attempt.id).as_str()));
    for (span, service) in
        [(sent, "trunkline-gateway"), (routed, "trunkline-router"), (attempt, "trunkline-dispatcher")]
    {
        assert_eq!(span.service, service, "{spans:#?}");
    }
    for span in [sent, routed, made] {
        assert_eq!(span.attribute("messaging.system"), system);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_over_processes_on_kafka() {
    one_trace_over_processes(Engine::Kafka, "kafka", "one_trace_over_processes_on_kafka").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_over_processes_on_rabbitmq() {
    one_trace_over_processes(Engine::RabbitMq, "rabbitmq", "one_trace_over_processes_on_rabbitmq").await;
}
