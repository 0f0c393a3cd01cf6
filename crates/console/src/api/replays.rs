//! Replays: select, look first, start, follow, cancel.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_sdk::core::config::Rate;
use trunkline_sdk::store::{DeadLetterFilter, NewReplay, Refusal, Selection};

use super::audit::{PAGE, PageQuery, note};
use super::problem::Problem;
use super::{Console, Operation, Who, act, read, views};

/// Refused dead letters that an answer names, at most; it counts all.
const NAMED: usize = 100;

pub(super) fn operations() -> Vec<Operation> {
    let example = r#"{"filter": {"destination": "crm", "reason": "attempts_exhausted"}, "rate": "50/s", "dry_run": true}"#;
    vec![
        read("/api/v1/replays", "Replays, newest first", PAGE, || get(list)),
        read("/api/v1/replays/{id}", "One replay and how far it is", &[], || get(show)),
        act("/api/v1/replays", "Give dead letters another life, or see which would get one", example, || {
            post(start)
        }),
        act("/api/v1/replays/{id}/cancel", "Stop a replay: what was not sent stays dead", "{}", || {
            post(cancel)
        }),
    ]
}

async fn list(
    State(console): State<Console>,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(page) = page?;
    let (replays, next) = console.store.list_replays(&page.page()).await?;
    let mut items = Vec::with_capacity(replays.len());
    for replay in &replays {
        items.push(views::replay(replay, &console.store.replay_progress(&replay.made.id).await?));
    }
    Ok(Json(json!({ "items": items, "next": next })))
}

async fn show(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    view(&console, &id).await.map(Json)
}

async fn view(console: &Console, id: &str) -> Result<Value, Problem> {
    let replay = console.store.replay(id).await?;
    let replay = replay.ok_or_else(|| Problem::not_found(format!("No replay `{}`.", id.escape_debug())))?;
    Ok(views::replay(&replay, &console.store.replay_progress(id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    filter: DeadLetterFilter,
    /// Also what was replayed, delivered or discarded, or was replayed too often.
    #[serde(default)]
    force: bool,
    /// The stored body instead of today's transform's.
    #[serde(default)]
    as_it_was: bool,
    /// For example `50/s`.
    rate: Option<Rate>,
    /// Only say what would be replayed.
    #[serde(default)]
    dry_run: bool,
}

async fn start(
    State(console): State<Console>,
    who: Who,
    body: Result<Json<Start>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(asked) = body?;
    let max_replays = console.settings.max_replays;
    let selection = console.store.select_for_replay(&asked.filter, asked.force, max_replays).await?;
    if asked.dry_run {
        return Ok(Json(describe(&selection, "would_replay")).into_response());
    }
    if selection.eligible.is_empty() {
        return Err(nothing_to_replay(&selection));
    }
    let destination = destination(&console, &asked.filter, &selection).await?;
    let replay = NewReplay {
        id: uuid::Uuid::now_v7().simple().to_string(),
        destination: destination.clone(),
        filter: asked.filter,
        by: who.0.name.to_string(),
        forced: asked.force,
        as_it_was: asked.as_it_was,
        rate: asked.rate.map(|rate| f64::from(rate.count) / rate.per.as_secs_f64()),
    };
    let detail = json!({ "replay": replay.id, "filter": replay.filter, "force": replay.forced, "as_it_was": replay.as_it_was, "dead_letters": selection.eligible.len() });
    note(&console, &who, "replay", &destination, detail).await?;
    // The selection is frozen here; what became ineligible since is named in the answer.
    let refused = console.store.create_replay(&replay, &selection.eligible, max_replays, Utc::now()).await?;
    console.bell.notify_one();
    let mut answer = view(&console, &replay.id).await?;
    let refused: Vec<_> = selection.refused.into_iter().chain(refused).collect();
    answer["refused"] = named(&refused);
    answer["refused_count"] = refused.len().into();
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// A replay reaches one destination: the filter's, or that of its first dead letter when the filter names none.
async fn destination(
    console: &Console,
    filter: &DeadLetterFilter,
    selection: &Selection,
) -> Result<String, Problem> {
    if let Some(destination) = &filter.destination {
        return Ok(destination.clone());
    }
    let first = selection.eligible.first().map_or("", String::as_str);
    let stored = console.store.dead_letter(first).await?;
    let stored = stored.ok_or_else(|| Problem::not_found("The dead letters are gone."))?;
    if selection.eligible.len() > 1 && filter.ids.is_none() {
        return Err(Problem::malformed(
            "Name the destination in the filter: a replay reaches one destination.",
        ));
    }
    Ok(stored.summary.channel)
}

fn nothing_to_replay(selection: &Selection) -> Problem {
    match selection.refused.first() {
        None => Problem::not_found("No dead letter fits the filter."),
        Some((id, why)) => Problem::conflict(format!(
            "None of {} dead letters is replayed; {id}: {why}.{}",
            selection.refused.len(),
            if forcible(why) { " Repeat it with `force` to replay it all the same." } else { "" },
        )),
    }
}

fn forcible(refusal: &Refusal) -> bool {
    !matches!(refusal, Refusal::Malformed | Refusal::DeadAgain | Refusal::OtherDestination)
}

fn describe(selection: &Selection, name: &str) -> Value {
    json!({
        name: selection.eligible.len(),
        "ids": selection.eligible.iter().take(NAMED).collect::<Vec<_>>(),
        "refused_count": selection.refused.len(),
        "refused": named(&selection.refused),
    })
}

fn named(refused: &[(String, Refusal)]) -> Value {
    let named = refused.iter().take(NAMED);
    named.map(|(id, why)| json!({ "id": id, "why": why.to_string(), "forcible": forcible(why) })).collect()
}

async fn cancel(
    State(console): State<Console>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    view(&console, &id).await?;
    note(&console, &who, "cancel_replay", &id, json!({})).await?;
    match console.store.cancel_replay(&id, &who.0.name, Utc::now()).await? {
        Some(skipped) => Ok(Json(json!({ "id": id, "cancelled": true, "not_sent": skipped }))),
        None => Err(Problem::conflict("The replay is not running any more.")),
    }
}
