//! What a replay of a dead letter would send today.

use chrono::Utc;
use serde_json::{Value, json};
use trunkline_sdk::core::{Delivery, DestinationName};
use trunkline_sdk::store::StoredDeadLetter;

use super::{Console, views};
use crate::replay::render::{Life, NewLife};

/// The request, or the events, that a replay by today's settings would send; `{"error": ..}` where it can't be replayed
/// or shown. Nothing is sent.
pub(super) async fn would_send(console: &Console, stored: StoredDeadLetter) -> Value {
    let (rules, sources) = (console.rules.load_full(), console.sources.load_full());
    // Transforms block for as long as they run.
    let life = tokio::task::spawn_blocking(move || {
        let new = NewLife {
            destination: &stored.summary.channel,
            generation: stored.life + 1,
            replay_id: "",
            as_it_was: false,
            now: Utc::now(),
        };
        new.of(&stored.dead_letter, &rules, &sources)
    });
    let shown = match life.await {
        Ok(Ok(Life::Delivery(delivery))) => request(console, &delivery).await,
        Ok(Ok(Life::Events(events))) => {
            let catalogue = console.configuration.borrow().catalogue.clone();
            let events: Vec<Value> = events.iter().map(|event| views::event(event, &catalogue)).collect();
            Ok(json!({ "events": events }))
        }
        Ok(Err(reason)) => Err(reason),
        Err(panicked) => Err(panicked.to_string()),
    };
    shown.unwrap_or_else(|reason| json!({ "error": reason }))
}

async fn request(console: &Console, delivery: &Delivery) -> Result<Value, String> {
    let shared = console.configuration.borrow().clone();
    let entry = DestinationName::parse(&delivery.destination)
        .ok()
        .and_then(|name| shared.destinations.get(&name))
        .ok_or_else(|| format!("destination `{}` is not configured any more", delivery.destination))?;
    let context = shared.context(&delivery.destination, &console.instance);
    let adapter = console.adapters.make_destination(entry, &context).await;
    let adapter = adapter.map_err(|error| error.to_string())?;
    let preview = adapter.preview(delivery).map_err(|error| error.to_string())?;
    Ok(json!({
        "target": preview.target,
        "headers": preview.headers,
        "body": views::text_or_base64(&preview.body),
    }))
}
