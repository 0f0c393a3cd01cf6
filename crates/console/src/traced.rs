//! The console's part of a trace: dead letters that are kept, and those that get another life.

use trunkline_sdk::broker::{ChannelName, Outgoing, Received};
use trunkline_sdk::core::Event;
use trunkline_sdk::service::TraceContext;
use trunkline_sdk::trace::{self, KeyValue, Span, SpanKind};

/// Begins the steps of records that are taken into the store, where steps are recorded. The journey is of no one trace.
pub(crate) fn kept(batch: &[Received]) -> Vec<Span> {
    if !trace::is_on() {
        return Vec::new();
    }
    let letters = batch.iter().filter(|record| record.channel != ChannelName::journey());
    let begin = |record: &Received| {
        let parent = TraceContext::of_record(&record.headers);
        let mut span = Span::start(SpanKind::Consumer, format_args!("process {}", record.channel), parent);
        span.describe(|| trace::of_channel(&record.channel, "process"));
        span
    };
    letters.map(begin).collect()
}

/// Begins the step of a record that a replay sends, where steps are recorded. It may come weeks after the event, so it begins
/// a trace of its own, which points to the event's.
pub(crate) fn replayed(record: &mut Outgoing, event: &Event, replay: &str) -> Option<Span> {
    let before = TraceContext::of_event(event);
    if !trace::is_on() {
        record.headers.extend(before.iter().flat_map(TraceContext::record_headers));
        return None;
    }
    let mut span = Span::start(SpanKind::Producer, format_args!("send {}", record.channel), None);
    span.describe(|| trace::of_channel(&record.channel, "send"));
    span.describe(|| trace::of_event(event));
    span.describe(|| [KeyValue::new("trunkline.replay_id", replay.to_owned())]);
    if let Some(before) = before {
        span.link(&before);
    }
    record.headers.extend(span.context().record_headers());
    Some(span)
}
