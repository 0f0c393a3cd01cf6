//! Where an event is and how it came there.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_sdk::store::words::Word;
use trunkline_sdk::store::{DeadLetterFilter, EventFilter, Page};

use super::problem::Problem;
use super::{Console, Operation, read, views};

/// Events of one answer, at most.
const EVENTS: u32 = 50;

const QUERY: &[(&str, &str)] = &[
    ("id", "The event's id, or what it begins with"),
    ("source", "The event's source, where several events share an id"),
];

pub(super) fn operations() -> Vec<Operation> {
    vec![
        read("/api/v1/explain", "The journey of one event", QUERY, || get(explain)),
        read("/api/v1/events", "Events of which steps are known, latest first", QUERY, || get(events)),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    id: String,
    source: Option<String>,
}

impl Asked {
    fn filter(&self) -> EventFilter {
        let id_prefix = Some(self.id.clone()).filter(|id| !id.is_empty());
        EventFilter { id_prefix, source: self.source.clone(), ..EventFilter::default() }
    }
}

async fn events(
    State(console): State<Console>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked?;
    let found = console.store.find_events(&asked.filter(), EVENTS).await?;
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

async fn explain(
    State(console): State<Console>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked?;
    if asked.id.is_empty() {
        return Err(Problem::malformed(
            "Name the event: `?id=ID`, with `&source=SOURCE` where several share an id.",
        ));
    }
    let mut found = console.store.find_events(&asked.filter(), EVENTS).await?;
    // An event whose whole id was given is meant, even where others begin with it.
    if found.iter().any(|event| event.id == asked.id) {
        found.retain(|event| event.id == asked.id);
    }
    let event = match found.as_slice() {
        [event] => event,
        [] => {
            return Err(Problem::not_found(format!(
                "No step of an event `{}` is known. It may be older than the journey is kept, or not be on its way yet.",
                asked.id.escape_debug()
            )));
        }
        several => {
            let named: Vec<String> =
                several.iter().take(5).map(|event| format!("{} of {}", event.id, event.source)).collect();
            return Err(Problem::conflict(format!(
                "Several events fit: {}. Give the whole id, and the source.",
                named.join(", ")
            )));
        }
    };
    let steps = console.store.journey(&event.source, &event.id).await?;
    let filter = DeadLetterFilter {
        source: Some(event.source.clone()),
        event_id: Some(event.id.clone()),
        ..DeadLetterFilter::default()
    };
    let dead = console.store.list_dead_letters(&filter, &Page::first(EVENTS)).await?;
    Ok(Json(json!({
        "source": event.source,
        "id": event.id,
        "type": event.kind,
        "steps": steps.iter().map(views::step).collect::<Vec<_>>(),
        "dead_letters": dead.items.iter().map(views::summary).collect::<Vec<_>>(),
    })))
}
