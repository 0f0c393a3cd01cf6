//! The gateway's part of a trace: a request, and the records it puts on the bus.

use axum::extract::Request;
use axum::http::StatusCode;
use metrics::Counter;
use trunkline_sdk::Event;
use trunkline_sdk::broker::ChannelName;
use trunkline_sdk::service::TraceContext;
use trunkline_sdk::trace::{self, KeyValue, Span, SpanKind};

use crate::intake::{Acceptance, Intake, Refused, Submission};

/// Begins the step of a request, which goes on with the caller's trace. `route` is one of the gateway's.
pub(crate) fn request(route: &'static str, request: &Request) -> Span {
    let parent = TraceContext::of_request(request.headers());
    let mut span = Span::start(SpanKind::Server, format_args!("POST {route}"), parent);
    span.describe(|| {
        [
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", request.uri().path().to_owned()),
        ]
    });
    span
}

/// Says how a request was answered. That the caller did something wrong is no failure of the gateway.
pub(crate) fn answered(span: &mut Span, status: StatusCode) {
    span.describe(|| [KeyValue::new("http.response.status_code", i64::from(status.as_u16()))]);
    if status.is_server_error() {
        span.failed(status.as_str().to_owned(), "");
    }
}

/// Publishes events as a step of what led to them, or as the beginning of a trace. `accepted` counts those that are.
///
/// # Errors
/// As [`Intake::submit`].
pub(crate) async fn submit(
    intake: &Intake,
    led: Option<&Span>,
    events: Vec<Event>,
    accepted: Counter,
) -> Result<Vec<Acceptance>, Refused> {
    let channel = ChannelName::events();
    let mut span = match led {
        Some(led) => led.child(SpanKind::Producer, format_args!("send {channel}")),
        None => Span::start(SpanKind::Producer, format_args!("send {channel}"), None),
    };
    span.describe(|| trace::of_channel(&channel, "send"));
    match &events[..] {
        [event] => span.describe(|| trace::of_event(event)),
        events => span.describe(|| [KeyValue::new("messaging.batch.message_count", events.len() as i64)]),
    }
    let events = begun_here(events, &mut span);
    let headers = span.context().record_headers();
    let submitted = intake.submit(Submission { events, headers, accepted }).await;
    if let Err(refused) = &submitted {
        span.failed(refused.word(), refused.to_string());
    }
    submitted
}

/// Lets events say to which trace they belong (the distributed tracing extension of CloudEvents), so that whoever meets
/// them later, a replay for example, can point there. What an event says already stays, and is pointed to.
fn begun_here(events: Vec<Event>, span: &mut Span) -> Vec<Event> {
    if !span.is_recorded() {
        return events;
    }
    let context = span.context().clone();
    let events = events.into_iter().map(|event| match TraceContext::of_event(&event) {
        Some(other) => {
            if other.trace_id() != context.trace_id() {
                span.link(&other);
            }
            event
        }
        // The value is always permitted.
        None => event.with_text(TraceContext::PARENT, &context.to_string()).unwrap_or(event),
    });
    events.collect()
}
