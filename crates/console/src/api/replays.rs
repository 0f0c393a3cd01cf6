//! Replays: select, look first, start, follow, cancel.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::config::Rate;
use trunkline_sdk::store::words::Word;
use trunkline_sdk::store::{DeadLetterFilter, NewReplay, Refusal, ReplayState, Selection};

use super::ask::{Act, Asked, Named, Nothing, PAGE};
use super::audit::note;
use super::guard::Who;
use super::problem::Problem;
use super::{Console, Operation, act, read, views};
use crate::replay::GATEWAY;

/// Refused dead letters that an answer names, at most; it counts all.
const NAMED: usize = 100;
/// Destinations that a refusal names, at most.
const DESTINATIONS: u32 = 20;

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

async fn list(State(console): State<Console>, asked: Asked) -> Result<Json<Value>, Problem> {
    let (replays, next) = console.store.list_replays(&asked.page()?).await?;
    let mut items = Vec::with_capacity(replays.len());
    for replay in &replays {
        items.push(views::replay(replay, &console.store.replay_progress(&replay.made.id).await?));
    }
    Ok(Json(json!({ "items": items, "next": next })))
}

async fn show(State(console): State<Console>, Named(id): Named) -> Result<Json<Value>, Problem> {
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
    Act(mut asked): Act<Start>,
) -> Result<Response, Problem> {
    let destination = destination(&console, &asked.filter).await?;
    asked.filter.destination = Some(destination.clone());
    let max_replays = console.settings.max_replays;
    let selection = console.store.select_for_replay(&asked.filter, asked.force, max_replays).await?;
    if asked.dry_run {
        return Ok(Json(describe(&destination, &selection)).into_response());
    }
    if selection.eligible.is_empty() {
        return Err(nothing_to_replay(&selection));
    }
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

/// A replay reaches one destination, and one that takes deliveries. Which one is the filter's, or that of everything the
/// filter means.
async fn destination(console: &Console, filter: &DeadLetterFilter) -> Result<String, Problem> {
    if *filter == DeadLetterFilter::default() {
        return Err(Problem::malformed(
            "An empty filter means every dead letter. Name a destination, for example `{\"filter\": {\"destination\": \"crm\"}}`.",
        ));
    }
    let origins = console.store.origins_of_dead_letters(filter, DESTINATIONS).await?;
    let [origin] = origins.as_slice() else {
        return Err(match origins.as_slice() {
            [] => Problem::not_found("No dead letter fits the filter."),
            several => Problem::malformed(format!(
                "These dead letters are of several destinations: {}. A replay reaches one: name it in the filter.",
                several.join(", ")
            )),
        });
    };
    let shared = console.configuration.borrow().clone();
    let configured = DestinationName::parse(origin).is_ok_and(|name| shared.destinations.contains_key(&name));
    if configured || [GATEWAY, ROUTER].contains(&origin.as_str()) {
        return Ok(origin.clone());
    }
    Err(Problem::conflict(format!(
        "Destination `{origin}` is not configured any more: nothing would take these deliveries. Configure it again, or discard them."
    )))
}

/// Where records that are no event die: nothing of it can be replayed, and the selection says so.
const ROUTER: &str = "router";

fn nothing_to_replay(selection: &Selection) -> Problem {
    let Some((id, why)) = selection.refused.first() else {
        return Problem::not_found("No dead letter fits the filter.");
    };
    let remedy = match why {
        Refusal::Malformed => " It can only be discarded.",
        Refusal::DeadAgain => " Replay the newer one.",
        Refusal::OtherDestination => "",
        Refusal::Replaying | Refusal::Delivered | Refusal::Discarded | Refusal::TooManyReplays(_) => {
            " Repeat it with `force` to replay it all the same."
        }
    };
    Problem::conflict(match selection.refused.len() {
        1 => format!("Dead letter {id} is not replayed: {why}.{remedy}"),
        number => format!("None of {number} dead letters is replayed. The first, {id}: {why}.{remedy}"),
    })
}

fn forcible(refusal: &Refusal) -> bool {
    !matches!(refusal, Refusal::Malformed | Refusal::DeadAgain | Refusal::OtherDestination)
}

fn describe(destination: &str, selection: &Selection) -> Value {
    json!({
        "destination": destination,
        "would_replay": selection.eligible.len(),
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
    Named(id): Named,
    Act(Nothing {}): Act<Nothing>,
) -> Result<Json<Value>, Problem> {
    let over = || Problem::conflict("The replay is not running any more.");
    if view(&console, &id).await?["state"] != ReplayState::Running.word() {
        return Err(over());
    }
    note(&console, &who, "cancel_replay", &id, json!({})).await?;
    let skipped = console.store.cancel_replay(&id, &who.0.name, Utc::now()).await?.ok_or_else(over)?;
    Ok(Json(json!({ "id": id, "cancelled": true, "not_sent": skipped })))
}
