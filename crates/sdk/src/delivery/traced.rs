//! The runtime's part of a trace: one step for each attempt, which the platform's own steps follow.

use trunkline_broker::Headers;
use trunkline_core::{Attempt, Delivery};

use super::measure;
use crate::service::TraceContext;
use crate::trace::{KeyValue, Span, SpanKind, of_event};

/// Begins the step of an attempt.
pub(super) fn begin(delivery: &Delivery, parent: Option<TraceContext>) -> Span {
    let mut span = Span::start(SpanKind::Client, format_args!("deliver {}", delivery.destination), parent);
    span.describe(|| {
        let mut attributes = vec![
            KeyValue::new("trunkline.destination", delivery.destination.clone()),
            KeyValue::new("trunkline.subscription", delivery.subscription.clone()),
            KeyValue::new("trunkline.attempt", i64::from(delivery.attempt.saturating_add(1))),
            KeyValue::new("trunkline.generation", i64::from(delivery.generation)),
        ];
        attributes.extend(of_event(&delivery.event));
        if !delivery.replay_id.is_empty() {
            attributes.push(KeyValue::new("trunkline.replay_id", delivery.replay_id.clone()));
        }
        attributes
    });
    span
}

/// Says how the attempt ended. What a platform answered in its own words stays in the dead letter.
pub(super) fn end(span: &mut Span, attempt: &Attempt) {
    span.describe(|| {
        attempt.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status)))
    });
    if let Some(class) = &attempt.class {
        span.failed(measure::class(class), attempt.detail.clone());
    }
}

/// Lets what becomes of a record follow the attempt instead of what led to it.
pub(super) fn lead_on(span: &Span, headers: &mut Headers) {
    if span.is_recorded() {
        headers.retain(|(name, _)| name != TraceContext::PARENT && name != TraceContext::STATE);
        headers.extend(span.context().record_headers());
    }
}
