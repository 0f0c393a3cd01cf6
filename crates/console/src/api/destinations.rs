//! Destinations: their state, what waits for them, pause and resume.

use axum::Json;
use axum::extract::State;
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_sdk::broker::{ChannelName, GroupName};
use trunkline_sdk::config::DestinationEntry;
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::store::{DeadLetterFilter, DeadLetterState, DestinationState};

use super::account::lag;
use super::ask::{Act, Named, Nothing};
use super::audit::note;
use super::guard::Who;
use super::problem::Problem;
use super::{Console, Operation, act, read, views};

pub(super) fn operations() -> Vec<Operation> {
    let pause = r#"{"reason": "maintenance at the CRM until noon"}"#;
    vec![
        read(
            "/api/v1/destinations",
            "Destinations with their state, what waits and what is dead",
            &[],
            || get(list),
        ),
        read("/api/v1/destinations/{name}", "One destination", &[], || get(show)),
        act(
            "/api/v1/destinations/{name}/pause",
            "Deliver nothing until resumed; everything waits",
            pause,
            || post(pause_it),
        ),
        act(
            "/api/v1/destinations/{name}/resume",
            "Deliver again: ends a pause, a hold or a disablement",
            "{}",
            || post(resume),
        ),
    ]
}

async fn list(State(console): State<Console>) -> Result<Json<Value>, Problem> {
    let shared = console.configuration.borrow().clone();
    let mut items = Vec::with_capacity(shared.destinations.len());
    for (name, entry) in &shared.destinations {
        items.push(view(&console, name, entry).await?);
    }
    Ok(Json(json!({ "items": items })))
}

async fn show(State(console): State<Console>, Named(name): Named) -> Result<Json<Value>, Problem> {
    let (name, entry) = find(&console, &name)?;
    view(&console, &name, &entry).await.map(Json)
}

async fn view(console: &Console, name: &DestinationName, entry: &DestinationEntry) -> Result<Value, Problem> {
    let state = console.store.destination_state(name.as_str()).await?;
    let waiting = lag(console.broker.as_ref(), &ChannelName::deliver(name), &GroupName::dispatcher()).await?;
    let filter = DeadLetterFilter {
        destination: Some(name.to_string()),
        state: Some(DeadLetterState::Waiting),
        ..DeadLetterFilter::default()
    };
    let mut view = views::state(&state);
    view["name"] = name.as_str().into();
    view["adapter"] = entry.adapter.clone().into();
    view["external"] = entry.external.into();
    view["waiting"] = waiting.into();
    view["dead"] = console.store.count_dead_letters(&filter).await?.into();
    Ok(view)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    #[serde(default)]
    reason: String,
}

async fn pause_it(
    State(console): State<Console>,
    who: Who,
    Named(name): Named,
    Act(Pause { reason }): Act<Pause>,
) -> Result<Json<Value>, Problem> {
    let (name, entry) = find(&console, &name)?;
    note(&console, &who, "pause", name.as_str(), json!({ "reason": reason })).await?;
    let now = Utc::now();
    let state = DestinationState::Paused { by: who.0.name.to_string(), reason, since: now };
    console.store.set_destination_state(name.as_str(), &state, &who.0.name, now).await?;
    view(&console, &name, &entry).await.map(Json)
}

async fn resume(
    State(console): State<Console>,
    who: Who,
    Named(name): Named,
    Act(Nothing {}): Act<Nothing>,
) -> Result<Json<Value>, Problem> {
    let (name, entry) = find(&console, &name)?;
    note(&console, &who, "resume", name.as_str(), json!({})).await?;
    let open = DestinationState::Open;
    console.store.set_destination_state(name.as_str(), &open, &who.0.name, Utc::now()).await?;
    view(&console, &name, &entry).await.map(Json)
}

fn find(console: &Console, name: &str) -> Result<(DestinationName, DestinationEntry), Problem> {
    let shared = console.configuration.borrow().clone();
    let known: Vec<&str> = shared.destinations.keys().map(DestinationName::as_str).collect();
    let unknown = || {
        Problem::not_found(format!(
            "No destination `{}` is configured; there are: {}.",
            name.escape_debug(),
            known.join(", ")
        ))
    };
    let name = DestinationName::parse(name).map_err(|_| unknown())?;
    let entry = shared.destinations.get(&name).cloned().ok_or_else(unknown)?;
    Ok((name, entry))
}
