//! Where an event is and how it came there.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use trunkline_sdk::store::words::Word;
use trunkline_sdk::store::{DeadLetterFilter, EventFilter, EventSummary, Page};

use super::ask::Asked;
use super::problem::Problem;
use super::{Console, Operation, read, views};

/// Events of which one is to be told apart, and dead letters of one event, at most.
const SOME: u32 = 50;
/// How far a list of events reaches back unless asked: all of the journey would be read for each list.
const RECENT: TimeDelta = TimeDelta::hours(1);

const EXPLAIN: &[(&str, &str)] = &[
    ("id", "The event's id, or what it begins with"),
    ("source", "The event's source, where several events share an id"),
];

const EVENTS: &[(&str, &str)] = &[
    ("id", "What the event's id begins with"),
    ("source", "The event's source"),
    ("type", "The event's type"),
    ("since", "With a step at this time (RFC 3339) or later; the last hour unless an id or a time is given"),
    ("until", "With a step before this time (RFC 3339)"),
    ("limit", "How many items, 1 to 500; 50 unless given"),
];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        read("/api/v1/explain", "The journey of one event", EXPLAIN, || get(explain)),
        read("/api/v1/events", "Events of which steps are known, latest first", EVENTS, || get(events)),
    ]
}

async fn events(State(console): State<Console>, asked: Asked) -> Result<Json<Value>, Problem> {
    let owned = |name| asked.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut filter = EventFilter {
        id: None,
        id_prefix: owned("id"),
        source: owned("source"),
        kind: owned("type"),
        since: asked.time("since")?,
        until: asked.time("until")?,
    };
    if filter.id_prefix.is_none() && filter.since.is_none() && filter.until.is_none() {
        filter.since = Some(Utc::now() - RECENT);
    }
    let found = console.store.find_events(&filter, asked.limit()?).await?;
    let items: Vec<Value> = found
        .iter()
        .map(|event| {
            json!({
                "source": event.source,
                "id": event.id,
                "type": event.kind,
                "first": event.first,
                "last": event.last,
                "last_step": event.last_step.word(),
            })
        })
        .collect();
    Ok(Json(json!({ "items": items })))
}

async fn explain(State(console): State<Console>, asked: Asked) -> Result<Json<Value>, Problem> {
    let event = find(&console, &asked).await?;
    let steps = console.store.journey(&event.source, &event.id).await?;
    let filter = DeadLetterFilter {
        source: Some(event.source.clone()),
        event_id: Some(event.id.clone()),
        ..DeadLetterFilter::default()
    };
    let dead = console.store.list_dead_letters(&filter, &Page::first(SOME)).await?;
    Ok(Json(json!({
        "source": event.source,
        "id": event.id,
        "type": event.kind,
        "steps": steps.iter().map(views::step).collect::<Vec<_>>(),
        "dead_letters": dead.items.iter().map(views::summary).collect::<Vec<_>>(),
    })))
}

/// The one event that is meant. A whole id means its event, even where others begin with it.
async fn find(console: &Console, asked: &Asked) -> Result<EventSummary, Problem> {
    let id = asked.text("id").filter(|id| !id.is_empty()).ok_or_else(|| {
        Problem::malformed("Name the event: `?id=ID`, with `&source=SOURCE` where several share an id.")
    })?;
    let source = asked.text("source").map(str::to_owned);
    let whole = EventFilter { id: Some(id.to_owned()), source: source.clone(), ..EventFilter::default() };
    let mut found = console.store.find_events(&whole, SOME).await?;
    if found.is_empty() {
        let begun = EventFilter { id_prefix: Some(id.to_owned()), source, ..EventFilter::default() };
        found = console.store.find_events(&begun, SOME).await?;
    }
    // Source and id identify an event, whatever its steps say about its type.
    let mut several: Vec<EventSummary> = Vec::new();
    for event in found {
        if !several.iter().any(|other| (&other.source, &other.id) == (&event.source, &event.id)) {
            several.push(event);
        }
    }
    if several.len() > 1 {
        let named = several.iter().take(5).map(|event| format!("{} of {}", event.id, event.source));
        let named: Vec<String> = named.collect();
        return Err(Problem::conflict(format!(
            "Several events fit: {}{}. Give the whole id, and the source.",
            named.join(", "),
            if several.len() > named.len() { " and more" } else { "" },
        )));
    }
    several.pop().ok_or_else(|| {
        Problem::not_found(format!(
            "No step of an event `{}` is known. It may be older than the journey is kept, or not be on its way yet.",
            id.escape_debug()
        ))
    })
}
