//! The router's part of a trace: an event that is routed, and the records made of it. Both end when the batch is handed
//! over.

use trunkline_sdk::broker::{ChannelName, Headers, Received};
use trunkline_sdk::core::Event;
use trunkline_sdk::service::TraceContext;
use trunkline_sdk::trace::{self, Span, SpanKind};

/// Begins the step of a record, where steps are recorded. `event` is what was read from it.
pub(crate) fn record(record: &Received, event: Result<&Event, &str>) -> Option<Span> {
    if !trace::is_on() {
        return None;
    }
    let parent =
        TraceContext::of_record(&record.headers).or_else(|| event.ok().and_then(TraceContext::of_event));
    let mut span = Span::start(SpanKind::Consumer, format_args!("process {}", record.channel), parent);
    span.describe(|| trace::of_channel(&record.channel, "process"));
    match event {
        Ok(event) => span.describe(|| trace::of_event(event)),
        Err(detail) => span.failed("undecodable", detail.to_owned()),
    }
    Some(span)
}

/// Begins the step of a record that is made, and says with which headers that goes.
pub(crate) fn output(of: &Span, channel: &ChannelName) -> (Span, Headers) {
    let mut span = of.child(SpanKind::Producer, format_args!("send {channel}"));
    span.describe(|| trace::of_channel(channel, "send"));
    let headers = span.context().record_headers();
    (span, headers)
}
