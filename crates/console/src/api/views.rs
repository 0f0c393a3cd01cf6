//! What the API shows: stored things as JSON, with stable field names that others script against.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use trunkline_sdk::TypeCatalogue;
use trunkline_sdk::core::dead_letter::{Contents, DroppedBody};
use trunkline_sdk::core::journey::JourneyStep;
use trunkline_sdk::core::{Attempt, Body, Delivery, Event};
use trunkline_sdk::store::words::{ClassKind, Word};
use trunkline_sdk::store::{
    DeadLetterFilter, DeadLetterGroup, DeadLetterSummary, DestinationState, Replay, ReplayProgress,
    StoredDeadLetter,
};

/// One line of a list of dead letters.
pub fn summary(item: &DeadLetterSummary) -> Value {
    json!({
        "id": item.id,
        "origin": item.channel,
        "state": item.state.word(),
        "contains": item.contained.word(),
        "destination": item.destination,
        "subscription": item.subscription,
        "source": item.source,
        "event_id": item.event_id,
        "type": item.kind,
        "reason": item.reason.word(),
        "class": item.class.map(Word::word),
        "status": item.status,
        "detail": item.detail,
        "generation": item.generation,
        "replays": item.replays,
        "time": item.time,
    })
}

/// Dead letters of one cause, with the filter that means them and no others; `asked` is what was grouped.
pub fn group(group: &DeadLetterGroup, asked: &DeadLetterFilter) -> Value {
    let filter = DeadLetterFilter {
        destination: Some(group.channel.clone()),
        subscription: Some(group.subscription.clone()),
        reason: Some(group.reason),
        class: group.class,
        status: Some(group.status.unwrap_or(0)),
        cause: Some(group.cause.clone()),
        ..asked.clone()
    };
    json!({
        "origin": group.channel,
        "subscription": group.subscription,
        "reason": group.reason.word(),
        "class": group.class.map(Word::word),
        "status": group.status,
        "cause": group.cause,
        "count": group.count,
        "first": group.first,
        "last": group.last,
        "sample": group.sample,
        "filter": filter,
    })
}

/// A dead letter, whole.
pub fn dead_letter(stored: &StoredDeadLetter, catalogue: &TypeCatalogue) -> Value {
    let letter = &stored.dead_letter;
    let mut view = summary(&stored.summary);
    view["policy"] = letter.policy.as_ref().map_or(Value::Null, |policy| {
        json!({
            "max_attempts": policy.max_attempts,
            "max_age_seconds": policy.max_age.as_secs_f64(),
            "first_seconds": policy.first.as_secs_f64(),
            "max_seconds": policy.max.as_secs_f64(),
            "factor": policy.factor,
        })
    });
    match &letter.contents {
        Contents::Delivery(delivery) => {
            view["event"] = event(&delivery.event, catalogue);
            view["body"] = delivery.body.as_ref().map_or(Value::Null, body);
            view["delivery"] = self::delivery(delivery);
            view["attempts"] = delivery.attempts.iter().map(attempt).collect();
        }
        Contents::Malformed(bytes) => view["record_base64"] = STANDARD.encode(bytes).into(),
        Contents::Webhook(raw) => {
            view["request"] = json!({
                "source": raw.source,
                "method": raw.method,
                "path": raw.path,
                "headers": raw.headers,
                "received": raw.received,
                "body": text_or_base64(&raw.body),
            });
        }
    }
    view["dropped_body"] = letter.dropped_body.as_ref().map_or(Value::Null, dropped);
    let history = stored.history.iter();
    view["history"] = history
        .map(|change| json!({ "time": change.time, "state": change.state.word(), "by": change.by, "detail": change.detail }))
        .collect();
    view
}

/// An event in the CloudEvents JSON format, or its encoded bytes where its data can't be shown.
pub fn event(event: &Event, catalogue: &TypeCatalogue) -> Value {
    match event.to_json(catalogue).map(|json| serde_json::from_slice(&json)) {
        Ok(Ok(value)) => value,
        _ => json!({
            "source": event.source(),
            "id": event.id(),
            "type": event.kind(),
            "encoded_base64": STANDARD.encode(event.encoded()),
        }),
    }
}

/// One step of a journey.
pub fn step(step: &JourneyStep) -> Value {
    json!({
        "step": step.step.word(),
        "time": step.time,
        "source": step.source,
        "id": step.id,
        "type": step.kind,
        "key": step.key,
        "subscription": step.subscription,
        "destination": step.destination,
        "class": step.class.as_ref().map(|class| ClassKind::from(class).word()),
        "status": step.status,
        "attempt": step.attempt,
        "generation": step.generation,
        "replay": step.replay_id,
        "rule_set": step.rule_set,
        "dead_letter": step.dead_letter_id,
        "detail": step.detail,
    })
}

/// A replay and how far it is.
pub fn replay(replay: &Replay, progress: &ReplayProgress) -> Value {
    json!({
        "id": replay.made.id,
        "destination": replay.made.destination,
        "filter": replay.made.filter,
        "by": replay.made.by,
        "forced": replay.made.forced,
        "as_it_was": replay.made.as_it_was,
        "rate": replay.made.rate,
        "created": replay.created,
        "state": replay.state.word(),
        "ended": replay.ended,
        "progress": {
            "pending": progress.pending,
            "sent": progress.sent,
            "skipped": progress.skipped,
            "delivered": progress.delivered,
            "dead_again": progress.dead_again,
        },
    })
}

/// A destination's state.
pub fn state(state: &DestinationState) -> Value {
    match state {
        DestinationState::Open => json!({ "state": "open" }),
        DestinationState::Paused { by, reason, since } => {
            json!({ "state": "paused", "by": by, "reason": reason, "since": since })
        }
        DestinationState::Held { reason, since, probe_after } => {
            json!({ "state": "held", "reason": reason, "since": since, "probe_after": probe_after })
        }
        DestinationState::Disabled { reason, since } => {
            json!({ "state": "disabled", "reason": reason, "since": since })
        }
    }
}

fn delivery(delivery: &Delivery) -> Value {
    json!({
        "rule_set": delivery.rule_set,
        "attempts_made": delivery.attempt,
        "generation": delivery.generation,
        "routed": delivery.routed,
        "first_attempt": delivery.first_attempt,
        "replay": delivery.replay_id,
    })
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "time": attempt.time,
        "took_seconds": attempt.took.as_secs_f64(),
        "class": attempt.class.as_ref().map(|class| ClassKind::from(class).word()),
        "detail": attempt.detail,
        "status": attempt.status,
        "response": attempt.response,
        "request": attempt.request,
        "instance": attempt.instance,
    })
}

/// A body as it would be sent.
pub fn body(body: &Body) -> Value {
    json!({ "content_type": body.content_type, "content": text_or_base64(&body.bytes) })
}

fn dropped(dropped: &DroppedBody) -> Value {
    json!({ "length": dropped.length, "sha256": hex(&dropped.sha256) })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text as it is, other bytes as `{"base64": ..}`.
pub fn text_or_base64(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}
