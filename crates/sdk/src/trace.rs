//! Spans: what the bus did with a request, a record or a delivery, for OpenTelemetry.
//!
//! One trace spans all that happens to an event, from the request that brought it to the platform's answer: each step is
//! a child of the one before, whose context travels as `traceparent` in the headers of requests and records. A replay, which may
//! come weeks later, begins a trace of its own that is linked to the event's.
//!
//! Unless [`crate::service::Otlp`] exports them, nothing is recorded: a span is then nothing but the trace context that came
//! in and goes on.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::SdkTracer;
use trunkline_broker::ChannelName;
use trunkline_core::Event;

use crate::service::TraceContext;

pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::SpanKind;

static RECORDER: OnceLock<Recorder> = OnceLock::new();

#[derive(Debug)]
struct Recorder {
    tracer: SdkTracer,
    /// The value of `messaging.system`.
    system: &'static str,
}

/// Records spans from now on. A process has one recorder: a second one is not taken.
pub(crate) fn record_by(tracer: SdkTracer, system: &'static str) {
    drop(RECORDER.set(Recorder { tracer, system }));
}

/// Whether spans are recorded at all. Where many records pass, ask before making anything for a span.
pub fn is_on() -> bool {
    RECORDER.get().is_some()
}

/// A step while it is under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Span {
    context: TraceContext,
    recorded: Option<Box<opentelemetry_sdk::trace::Span>>,
}

impl Span {
    /// Begins a step that follows `parent`, which came from another process or through a record; a new trace without one.
    pub fn start(kind: SpanKind, name: fmt::Arguments<'_>, parent: Option<TraceContext>) -> Self {
        match RECORDER.get() {
            None => Self { context: parent.unwrap_or_else(TraceContext::generate), recorded: None },
            Some(recorder) => {
                let around = match &parent {
                    None => Context::new(),
                    Some(parent) => Context::new().with_remote_span_context(parent.to_open(true)),
                };
                recorder.begin(kind, name, &around)
            }
        }
    }

    /// Begins a step within this one.
    pub fn child(&self, kind: SpanKind, name: fmt::Arguments<'_>) -> Self {
        match RECORDER.get() {
            None => Self { context: self.context.clone(), recorded: None },
            Some(recorder) => {
                let around = Context::new().with_remote_span_context(self.context.to_open(false));
                recorder.begin(kind, name, &around)
            }
        }
    }

    /// What later steps follow.
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Whether anybody will see it.
    pub fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }

    /// Adds attributes, which are made only for a span that somebody will see.
    pub fn describe<A: IntoIterator<Item = KeyValue>>(&mut self, attributes: impl FnOnce() -> A) {
        if let Some(span) = &mut self.recorded {
            span.set_attributes(attributes());
        }
    }

    /// Says that another step led to this one, though it is not its parent.
    pub fn link(&mut self, other: &TraceContext) {
        if let Some(span) = &mut self.recorded {
            span.add_link(other.to_open(true), Vec::new());
        }
    }

    /// Says that the step failed: `kind` is one of few words, `detail` is for people and without secrets.
    pub fn failed(&mut self, kind: impl Into<Value>, detail: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.recorded {
            span.set_attribute(KeyValue::new("error.type", kind));
            span.set_status(Status::error(detail));
        }
    }
}

impl Recorder {
    fn begin(&self, kind: SpanKind, name: fmt::Arguments<'_>, around: &Context) -> Span {
        let builder = SpanBuilder::from_name(name.to_string()).with_kind(kind);
        let span = self.tracer.build_with_context(builder, around);
        let context = TraceContext::from_open(span.span_context());
        Span { context, recorded: span.is_recording().then(|| Box::new(span)) }
    }
}

/// The attributes of OpenTelemetry's conventions that name an event.
pub fn of_event(event: &Event) -> [KeyValue; 3] {
    [
        KeyValue::new("cloudevents.event_id", event.id().to_owned()),
        KeyValue::new("cloudevents.event_source", event.source().to_owned()),
        KeyValue::new("cloudevents.event_type", event.kind().to_owned()),
    ]
}

/// The attributes of OpenTelemetry's conventions that name what was done with a channel: `send`, `process`.
pub fn of_channel(channel: &ChannelName, operation: &'static str) -> [KeyValue; 4] {
    let system = RECORDER.get().map_or("", |recorder| recorder.system);
    [
        KeyValue::new("messaging.system", system),
        KeyValue::new("messaging.destination.name", channel.as_str().to_owned()),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
    ]
}

impl TraceContext {
    fn to_open(&self, is_remote: bool) -> SpanContext {
        let (trace, span, sampled) = self.ids();
        let flags = TraceFlags::default().with_sampled(sampled);
        // What a vendor wrote may break rules that only matter to whoever changes it.
        let state = self.state().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
        SpanContext::new(TraceId::from(trace), SpanId::from(span), flags, is_remote, state)
    }

    fn from_open(span: &SpanContext) -> Self {
        let ids = (
            u128::from_be_bytes(span.trace_id().to_bytes()),
            u64::from_be_bytes(span.span_id().to_bytes()),
            span.is_sampled(),
        );
        Self::of_ids(ids, Some(span.trace_state().header()).filter(|state| !state.is_empty()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn without_an_exporter_the_context_goes_on_as_it_came() {
        let came =
            TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", Some("a=1"));
        let mut span = Span::start(SpanKind::Server, format_args!("request"), came.clone());
        span.describe(|| -> [KeyValue; 0] { panic!("nobody will see it") });
        assert_eq!(span.child(SpanKind::Producer, format_args!("send")).context(), &came.unwrap());
        assert!(!span.is_recorded() && !is_on());
        let (first, second) = (TraceContext::generate(), TraceContext::generate());
        assert_ne!(first.trace_id(), second.trace_id());
    }

    #[test]
    fn a_context_is_the_same_in_both_forms() {
        let came =
            TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Some("a=1"));
        let came = came.unwrap();
        let open = came.to_open(true);
        assert!(open.is_valid() && open.is_remote() && open.is_sampled());
        assert_eq!(open.trace_id().to_string(), came.trace_id());
        assert_eq!(TraceContext::from_open(&open), came);
    }
}
