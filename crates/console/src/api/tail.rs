//! Looking at a channel as records come, taking nothing away.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tracing::warn;
use trunkline_sdk::broker::{ChannelName, ConsumeError, Observer, Received, Start};
use trunkline_sdk::core::journey::JourneyRecord;
use trunkline_sdk::core::{DeadLetter, Delivery, Event, TypeCatalogue};
use trunkline_sdk::store::words::Word;

use super::ask::Asked;
use super::problem::Problem;
use super::{Console, Operation, read, views};

pub(super) fn operations() -> Vec<Operation> {
    let query = &[
        ("channel", "`events`, `journey`, `deliver.NAME` or `dead.NAME`; `events` unless given"),
        ("from", "`newest` (only what comes) or `oldest`"),
        ("limit", "End after so many records"),
    ];
    vec![read("/api/v1/tail", "Records of a channel as they come, one JSON object a line", query, || {
        get(tail)
    })]
}

async fn tail(State(console): State<Console>, asked: Asked) -> Result<Response, Problem> {
    let limit = asked.parsed("limit", "a number")?.unwrap_or(u64::MAX);
    let channel = asked.text("channel").unwrap_or("events");
    let channel = ChannelName::parse(channel).map_err(|_| {
        Problem::malformed(format!("Query parameter `channel`: `{}` is no channel.", channel.escape_debug()))
    })?;
    let from = match asked.text("from") {
        None | Some("newest") => Start::Newest,
        Some("oldest") => Start::Oldest,
        Some(other) => {
            let other = other.escape_debug();
            return Err(Problem::malformed(format!(
                "Query parameter `from`: `{other}` is neither `newest` nor `oldest`."
            )));
        }
    };
    let observer = console.broker.observe(&channel, from).await;
    let observer = observer.map_err(|error| match error {
        ConsumeError::UnknownChannel(_) => Problem::not_found(format!("Channel `{channel}` is not there.")),
        error => Problem::unavailable(format!("Channel `{channel}` can't be observed: {error}.")),
    })?;
    let catalogue = console.configuration.borrow().catalogue.clone();
    let lines = lines(observer, catalogue, limit);
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// The lines of an observer; ends after `limit` records, or when the observer does.
fn lines(
    observer: Box<dyn Observer>,
    catalogue: Arc<TypeCatalogue>,
    limit: u64,
) -> impl stream::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    stream::unfold((observer, limit), move |(mut observer, left)| {
        let catalogue = catalogue.clone();
        async move {
            if left == 0 {
                return None;
            }
            let mut records = match observer.next().await {
                Ok(records) => records,
                Err(error) => {
                    warn!(%error, "a tail ends early");
                    return None;
                }
            };
            records.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let text: String =
                records.iter().map(|record| format!("{}\n", line(record, &catalogue))).collect();
            let left = left - records.len() as u64;
            Some((Ok(Bytes::from(text)), (observer, left)))
        }
    })
}

fn line(record: &Received, catalogue: &TypeCatalogue) -> Value {
    let channel = record.channel.as_str();
    let mut line = json!({
        "channel": channel,
        "partition": record.position.partition,
        "offset": record.position.offset,
        "stored": chrono::DateTime::<chrono::Utc>::from(record.stored),
    });
    let (name, value) = content(channel, record, catalogue);
    line[name] = value;
    line
}

fn content(channel: &str, record: &Received, catalogue: &TypeCatalogue) -> (&'static str, Value) {
    let bytes = record.value.clone();
    let undecodable = || ("undecodable", views::text_or_base64(&record.value));
    match channel.split('.').next() {
        Some("events") => Event::decode(bytes)
            .map_or_else(|_| undecodable(), |event| ("event", views::event(&event, catalogue))),
        Some("journey") => JourneyRecord::decode(bytes).map_or_else(
            |_| undecodable(),
            |journey| ("steps", journey.steps.iter().map(views::step).collect()),
        ),
        Some("deliver") => Delivery::decode(bytes).map_or_else(
            |_| undecodable(),
            |delivery| {
                let value = json!({
                    "event": views::event(&delivery.event, catalogue),
                    "subscription": delivery.subscription,
                    "destination": delivery.destination,
                    "attempts_made": delivery.attempt,
                    "body": delivery.body.as_ref().map(views::body),
                });
                ("delivery", value)
            },
        ),
        _ => DeadLetter::decode(bytes).map_or_else(
            |_| undecodable(),
            |dead| {
                let value = json!({ "id": dead.id(), "reason": dead.reason.word(), "detail": dead.detail });
                ("dead_letter", value)
            },
        ),
    }
}
