//! Dead letters: list, group by cause, look, give up.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use bytes::Bytes;
use chrono::Utc;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;
use trunkline_sdk::broker::{ChannelName, Outgoing};
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::store::{DeadLetterFilter, DeadLetterState, Page, StoredDeadLetter};

use super::audit::{PageQuery, note};
use super::problem::Problem;
use super::{Console, Operation, Who, act, read, views};

/// Groups of one answer, at most.
const GROUPS: u32 = 200;
/// Steps of one journey record, at most.
const JOURNALED: usize = 200;

const FILTER: &[(&str, &str)] = &[
    ("destination", "A destination's name, `router` or `gateway`"),
    ("subscription", "A subscription's name"),
    ("source", "An event's source"),
    ("event_id", "An event's id"),
    ("type", "An event's type"),
    ("reason", "Why it died, for example `rejected` or `attempts_exhausted`"),
    ("class", "`transient`, `throttled`, `rejected` or `halted`"),
    ("state", "`waiting`, `replaying`, `delivered`, `dead_again` or `discarded`"),
    ("status", "The platform's status code in the last attempt"),
    ("cause", "The cause, as a group has it"),
    ("text", "Text in the detail or the event's id"),
    ("since", "Died at this time (RFC 3339) or later"),
    ("until", "Died before this time (RFC 3339)"),
    ("limit", "How many items, at most 500"),
    ("after", "`next` of the page before"),
];

pub(super) fn operations() -> Vec<Operation> {
    let discard = r#"{"filter": {"ids": ["0123456789abcdef0123456789abcdef"]}, "reason": "test orders"}"#;
    vec![
        read("/api/v1/dead-letters", "Dead letters, newest first", FILTER, || get(list)),
        read("/api/v1/dead-letters/groups", "Dead letters by cause, most first", FILTER, || get(groups)),
        read(
            "/api/v1/dead-letters/{id}",
            "One dead letter: event, request, answers, attempts, history",
            &[],
            || get(show),
        ),
        act("/api/v1/dead-letters/discard", "Give dead letters up, with a reason", discard, || {
            post(discard_them)
        }),
    ]
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(flatten)]
    page: PageQuery,
}

async fn list(
    State(console): State<Console>,
    filter: Result<Query<FilterQuery>, QueryRejection>,
    page: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let (Query(filter), Query(page)) = (filter?, page?);
    let found = console.store.list_dead_letters(&filter.filter()?, &page.page.page()).await?;
    let items: Vec<Value> = found.items.iter().map(views::summary).collect();
    Ok(Json(json!({ "items": items, "next": found.next })))
}

async fn groups(
    State(console): State<Console>,
    filter: Result<Query<FilterQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(filter) = filter?;
    let mut filter = filter.filter()?;
    // Asked for causes, operators mean what still waits.
    filter.state = filter.state.or(Some(DeadLetterState::Waiting));
    let groups = console.store.group_dead_letters(&filter, GROUPS).await?;
    let items: Vec<Value> = groups.iter().map(views::group).collect();
    Ok(Json(json!({ "items": items })))
}

async fn show(State(console): State<Console>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let stored = console.store.dead_letter(&id).await?;
    let stored =
        stored.ok_or_else(|| Problem::not_found(format!("No dead letter `{}`.", id.escape_debug())))?;
    let catalogue = console.configuration.borrow().catalogue.clone();
    let mut view = views::dead_letter(&stored, &catalogue);
    view["would_send"] = would_send(&console, &stored).await;
    Ok(Json(view))
}

/// The request that a replay by today's settings would send; null where there is none to show.
async fn would_send(console: &Console, stored: &StoredDeadLetter) -> Value {
    let Contents::Delivery(delivery) = &stored.dead_letter.contents else { return Value::Null };
    let shared = console.configuration.borrow().clone();
    let Some(entry) = DestinationName::parse(&delivery.destination)
        .ok()
        .and_then(|name| shared.destinations.get(&name).cloned())
    else {
        return Value::Null;
    };
    let context = shared.context(&delivery.destination, &console.instance);
    let Ok(adapter) = console.adapters.make_destination(&entry, &context).await else { return Value::Null };
    let rendered = console.rules.load().render(&delivery.subscription, &delivery.event);
    let body = rendered.unwrap_or_else(|_| delivery.body.clone());
    let delivery = trunkline_sdk::Delivery { body, ..(**delivery).clone() };
    match adapter.preview(&delivery) {
        Ok(preview) => json!({
            "target": preview.target,
            "headers": preview.headers,
            "body": views::text_or_base64(&preview.body),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Discard {
    filter: DeadLetterFilter,
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

async fn discard_them(
    State(console): State<Console>,
    who: Who,
    body: Result<Json<Discard>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(asked) = body?;
    if asked.reason.trim().is_empty() {
        return Err(Problem::malformed(
            "A discard needs a reason: `{\"filter\": {..}, \"reason\": \"..\"}`.",
        ));
    }
    if asked.filter == DeadLetterFilter::default() {
        return Err(Problem::malformed(
            "An empty filter means every dead letter. Name at least a destination, for example `{\"filter\": {\"destination\": \"crm\"}}`.",
        ));
    }
    if asked.dry_run {
        let filter = DeadLetterFilter { state: Some(DeadLetterState::Waiting), ..asked.filter };
        return Ok(Json(json!({ "would_discard": console.store.count_dead_letters(&filter).await? })));
    }
    let detail = json!({ "filter": asked.filter, "reason": asked.reason });
    note(&console, &who, "discard", asked.filter.destination.as_deref().unwrap_or(""), detail).await?;
    let ids =
        console.store.discard_dead_letters(&asked.filter, &asked.reason, &who.0.name, Utc::now()).await?;
    journal(&console, &ids, &asked.reason).await?;
    Ok(Json(json!({ "discarded": ids.len(), "ids": ids })))
}

/// Says in the journeys of the events that their deliveries were given up.
async fn journal(console: &Console, ids: &[String], reason: &str) -> Result<(), Problem> {
    for ids in ids.chunks(JOURNALED) {
        let filter = DeadLetterFilter::ids(ids.to_vec());
        let page = Page::first(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        let discarded = console.store.list_dead_letters(&filter, &page).await?;
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
        let key = Bytes::copy_from_slice(console.instance.as_bytes());
        let outgoing = Outgoing::new(ChannelName::journey(), key, record.encode());
        if let Err(error) = console.broker.publish(vec![outgoing]).await {
            // The dead letters are given up all the same, and the audit log says by whom.
            warn!(%error, "the journey of discarded dead letters was not stored");
        }
    }
    Ok(())
}

/// A filter in a query: the fields of [`DeadLetterFilter`] as text. The page's own are passed over.
#[derive(Deserialize)]
struct FilterQuery {
    #[serde(flatten)]
    fields: BTreeMap<String, String>,
}

impl FilterQuery {
    fn filter(self) -> Result<DeadLetterFilter, Problem> {
        let fields = self.fields.into_iter().filter(|(name, _)| name != "limit" && name != "after");
        let fields: Result<serde_json::Map<String, Value>, Problem> = fields
            .map(|(name, text)| {
                let value = match name.as_str() {
                    "status" => text.parse::<u32>().map(Value::from).map_err(|_| {
                        Problem::malformed(format!("Query `status`: `{}` is no number.", text.escape_debug()))
                    })?,
                    "ids" => text.split(',').map(str::to_owned).collect::<Vec<_>>().into(),
                    _ => Value::from(text),
                };
                Ok((name, value))
            })
            .collect();
        serde_json::from_value(Value::Object(fields?))
            .map_err(|error| Problem::malformed(format!("The query: {error}.")))
    }
}
