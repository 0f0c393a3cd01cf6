use serde_json::json;
use trunkline_sdk::testing::Answer;
use trunkline_tests::collector::{Collector, SpanKind, SpanSeen};
use trunkline_tests::{eventually, fixture};

use super::{CALLER, TRACE, bus, delivered, publish};
use crate::SOON;

/// The span of that name, and whose child it is.
#[track_caller]
pub(super) fn step<'a>(spans: &'a [SpanSeen], name: &str, kind: SpanKind, parent: &str) -> &'a SpanSeen {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let [span] = found[..] else { panic!("{} spans `{name}` in {spans:#?}", found.len()) };
    assert_eq!((span.kind, span.parent.as_str()), (kind, parent), "{spans:#?}");
    span
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_spans_request_routing_and_delivery() {
    let collector = Collector::start().await;
    let (bus, receiver) = bus(collector.environment()).await;
    publish(&bus, &fixture::event("e1", "suite.made", json!({})), true).await;
    let request = delivered(&receiver).await;
    let spans = collector.trace(TRACE, 5, SOON).await;
    let asked = step(&spans, "POST /v1/events", SpanKind::Server, CALLER);
    let sent = step(&spans, "send events", SpanKind::Producer, &asked.id);
    let routed = step(&spans, "process events", SpanKind::Consumer, &sent.id);
    let made = step(&spans, "send deliver.all", SpanKind::Producer, &routed.id);
    let attempt = step(&spans, "deliver all", SpanKind::Client, &made.id);
    assert_eq!(spans.len(), 5, "{spans:#?}");
    // The platform goes on from the attempt, and is told what the caller's vendor wanted to be told.
    assert_eq!(request.header("traceparent"), Some(format!("00-{TRACE}-{}-01", attempt.id).as_str()));
    assert_eq!(request.header("tracestate"), Some("vendor=1"));
    assert_eq!(
        (asked.attribute("http.route"), asked.attribute("http.response.status_code")),
        ("/v1/events", "202")
    );
    assert_eq!(attempt.attribute("http.response.status_code"), "200");
    for span in [sent, routed, made] {
        assert_eq!(span.attribute("messaging.system"), "trunkline");
    }
    assert_eq!(routed.attribute("messaging.destination.name"), "events");
    for span in [sent, routed, attempt] {
        assert_eq!(span.attribute("cloudevents.event_id"), "e1");
    }
    assert!(spans.iter().all(|span| span.service == "trunkline" && !span.failed), "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_follows_its_attempt_and_a_replay_points_to_the_event() {
    let collector = Collector::start().await;
    let (bus, receiver) = bus(collector.environment()).await;
    receiver.answer_next([Answer::status(503), Answer::status(422)]);
    publish(&bus, &fixture::event("e1", "suite.made", json!({})), true).await;
    let spans = collector.trace(TRACE, 7, SOON).await;
    let made = spans.iter().find(|span| span.name == "send deliver.all").unwrap();
    let attempts: Vec<_> = spans.iter().filter(|span| span.name == "deliver all").collect();
    for (attempt, status) in attempts.iter().zip(["503", "422"]) {
        assert_eq!((attempt.parent.as_str(), attempt.failed), (made.id.as_str(), true), "{spans:#?}");
        assert_eq!(attempt.attribute("http.response.status_code"), status);
    }
    assert_eq!(attempts[1].attribute("error.type"), "rejected");
    step(&spans, "process dead.all", SpanKind::Consumer, &attempts[1].id);

    let letters = eventually("a dead letter", SOON, async || {
        let letters = bus.list("/api/v1/dead-letters").await;
        (!letters.is_empty()).then_some(letters)
    })
    .await;
    assert_eq!(letters.len(), 1);
    bus.run(&["dlq", "replay", "--destination", "all"]).await.expect(0);
    let replay = eventually("a replay's delivery", SOON, async || {
        let linked = |span: &SpanSeen| span.name == "send deliver.all" && span.links == [TRACE];
        collector.spans().into_iter().find(linked)
    })
    .await;
    assert_ne!(replay.trace, TRACE);
    let again = collector.trace(&replay.trace, 2, SOON).await;
    let attempt = step(&again, "deliver all", SpanKind::Client, &replay.id);
    assert_eq!((attempt.attribute("trunkline.generation"), attempt.failed), ("1", false));
    assert_eq!(attempt.attribute("trunkline.replay_id"), replay.attribute("trunkline.replay_id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_caller_does_not_sample_is_not_exported_but_goes_on() {
    let collector = Collector::start().await;
    let (bus, receiver) = bus(collector.environment()).await;
    publish(&bus, &fixture::event("e1", "suite.made", json!({})), false).await;
    let request = delivered(&receiver).await;
    let parent = request.header("traceparent").unwrap();
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"), "{parent}");
    assert!(bus.terminate(SOON).await.success());
    assert_eq!(collector.spans().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_the_callers_context_reaches_the_platform_as_it_was() {
    let (bus, receiver) = bus(Vec::new()).await;
    publish(&bus, &fixture::event("e1", "suite.made", json!({})), true).await;
    let request = delivered(&receiver).await;
    assert_eq!(request.header("traceparent"), Some(format!("00-{TRACE}-{CALLER}-01").as_str()));
    assert_eq!(request.header("tracestate"), Some("vendor=1"));
    assert_eq!(request.header("ce-traceparent"), None, "an event is not changed");
}
