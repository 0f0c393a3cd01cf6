//! Dead letters: list, group by cause, look.

use axum::Json;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};
use trunkline_sdk::store::DeadLetterState;

use super::ask::{Asked, FILTER, FILTERED_PAGE, Named};
use super::preview::would_send;
use super::problem::Problem;
use super::{Console, Operation, read, views};

/// Groups of one answer, at most.
const GROUPS: u32 = 200;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        read("/api/v1/dead-letters", "Dead letters, newest first", &FILTERED_PAGE, || get(list)),
        read(
            "/api/v1/dead-letters/groups",
            "Dead letters by cause, most first; those that wait, unless a state is given",
            FILTER,
            || get(groups),
        ),
        read(
            "/api/v1/dead-letters/{id}",
            "One dead letter: event, request, answers, attempts, history, and what a replay would send",
            &[],
            || get(show),
        ),
    ]
}

async fn list(State(console): State<Console>, asked: Asked) -> Result<Json<Value>, Problem> {
    let found = console.store.list_dead_letters(&asked.filter()?, &asked.page()?).await?;
    let items: Vec<Value> = found.items.iter().map(views::summary).collect();
    Ok(Json(json!({ "items": items, "next": found.next })))
}

async fn groups(State(console): State<Console>, asked: Asked) -> Result<Json<Value>, Problem> {
    let mut filter = asked.filter()?;
    // Asked for causes, operators mean what still waits.
    filter.state = filter.state.or(Some(DeadLetterState::Waiting));
    let groups = console.store.group_dead_letters(&filter, GROUPS).await?;
    let items: Vec<Value> = groups.iter().map(|group| views::group(group, &filter)).collect();
    Ok(Json(json!({ "items": items })))
}

async fn show(State(console): State<Console>, Named(id): Named) -> Result<Json<Value>, Problem> {
    let stored = console.store.dead_letter(&id).await?;
    let stored =
        stored.ok_or_else(|| Problem::not_found(format!("No dead letter `{}`.", id.escape_debug())))?;
    let catalogue = console.configuration.borrow().catalogue.clone();
    let mut view = views::dead_letter(&stored, &catalogue);
    view["would_send"] = would_send(&console, stored).await;
    Ok(Json(view))
}
