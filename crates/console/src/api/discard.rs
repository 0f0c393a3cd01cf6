//! Giving dead letters up, with a reason.

use axum::Json;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;
use trunkline_sdk::broker::{ChannelName, Outgoing};
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::store::{DeadLetterFilter, DeadLetterState, Page, StoreError};

use super::ask::Act;
use super::audit::note;
use super::guard::Who;
use super::problem::Problem;
use super::{Console, Operation, act};

/// Steps of one journey record, at most.
const JOURNALED: usize = 200;
/// Characters of a reason, at most: it is kept with every dead letter and in the journey.
const LONGEST_REASON: usize = 1000;

pub(super) fn operations() -> Vec<Operation> {
    let example = r#"{"filter": {"ids": ["0123456789abcdef0123456789abcdef"]}, "reason": "test orders", "dry_run": true}"#;
    vec![act("/api/v1/dead-letters/discard", "Give waiting dead letters up, with a reason", example, || {
        post(discard)
    })]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Discard {
    filter: DeadLetterFilter,
    reason: String,
    /// Only say how many.
    #[serde(default)]
    dry_run: bool,
}

async fn discard(
    State(console): State<Console>,
    who: Who,
    Act(asked): Act<Discard>,
) -> Result<Json<Value>, Problem> {
    let Discard { mut filter, reason, dry_run } = asked;
    check(&filter, &reason)?;
    filter.state = Some(DeadLetterState::Waiting);
    if dry_run {
        return Ok(Json(json!({ "would_discard": console.store.count_dead_letters(&filter).await? })));
    }
    let detail = json!({ "filter": filter, "reason": reason });
    note(&console, &who, "discard", filter.destination.as_deref().unwrap_or(""), detail).await?;
    let ids = console.store.discard_dead_letters(&filter, &reason, &who.0.name, Utc::now()).await?;
    if let Err(error) = journal(&console, &ids, &reason).await {
        // They are given up all the same, and the audit log says by whom.
        warn!(%error, "the journey of discarded dead letters was not stored");
    }
    Ok(Json(json!({ "discarded": ids.len(), "ids": ids })))
}

fn check(filter: &DeadLetterFilter, reason: &str) -> Result<(), Problem> {
    if reason.trim().is_empty() {
        return Err(Problem::malformed(
            "A discard needs a reason: `{\"filter\": {..}, \"reason\": \"..\"}`.",
        ));
    }
    if reason.chars().count() > LONGEST_REASON {
        return Err(Problem::malformed(format!("The reason is longer than {LONGEST_REASON} characters.")));
    }
    if *filter == DeadLetterFilter::default() {
        return Err(Problem::malformed(
            "An empty filter means every dead letter. Name at least a destination, for example `{\"filter\": {\"destination\": \"crm\"}}`.",
        ));
    }
    match filter.state {
        None | Some(DeadLetterState::Waiting) => Ok(()),
        Some(_) => Err(Problem::malformed("Only dead letters that are `waiting` can be discarded.")),
    }
}

#[derive(Debug, thiserror::Error)]
enum JournalError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] trunkline_sdk::broker::PublishError),
}

/// Says in the journeys of the events that their deliveries were given up.
async fn journal(console: &Console, ids: &[String], reason: &str) -> Result<(), JournalError> {
    let key = Bytes::copy_from_slice(console.instance.as_bytes());
    for ids in ids.chunks(JOURNALED) {
        let page = Page::first(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        let discarded = console.store.list_dead_letters(&DeadLetterFilter::ids(ids.to_vec()), &page).await?;
        let steps = discarded.items.into_iter().map(|item| JourneyStep {
            source: item.source,
            id: item.event_id,
            kind: item.kind,
            subscription: item.subscription,
            destination: item.destination,
            generation: item.generation,
            dead_letter_id: item.id,
            detail: reason.to_owned(),
            ..JourneyStep::new(Step::Discarded, Utc::now())
        });
        let steps: Vec<JourneyStep> = steps.collect();
        let counts = JourneyCounts { discarded: steps.len() as u64, ..JourneyCounts::default() };
        let (instance, service) = (console.instance.clone(), "console".to_owned());
        let record = JourneyRecord { instance, service, time: Utc::now(), steps, counts };
        let records = record.encode_fitting(console.max_record / 2).into_iter();
        let outgoing = records.map(|record| Outgoing::new(ChannelName::journey(), key.clone(), record));
        console.broker.publish(outgoing.collect()).await?;
    }
    Ok(())
}
