//! Recorded requests of real platforms, where they are beside the workspace: each is signed anew with a secret of the
//! test's own, verified, changed in every byte, and normalized.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use trunkline_sdk::core::types::canonical_message;
use trunkline_sdk::core::{EventView, TypeCatalogue};
use trunkline_sdk::{Event, SecretText, WebhookRequest, WebhookSource};

use crate::testing::{context, now, request, secret};
use crate::verify::{Mac, SHOPIFY, STRIPE};
use crate::{Shopify, Stripe};

const KEY: &str = "a secret of the test's own";

#[derive(serde::Deserialize)]
struct Recording {
    headers: BTreeMap<String, String>,
    body: Box<RawValue>,
}

fn recordings(platform: &str) -> Vec<(String, Recording)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/webhooks").join(platform);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no recorded requests at ../shared/data/webhooks/{platform}");
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect()
}

/// Every change of one byte of the signature, and of a thousand places in a long body, is refused, and the request itself
/// is not.
fn check_signature<W: WebhookSource>(source: &W, good: &WebhookRequest, signature: &str) {
    assert_eq!(source.verify(good), Ok(()));
    let mut bytes = good.body.to_vec();
    for index in (0..bytes.len()).step_by(bytes.len() / 1000 + 1) {
        bytes[index] ^= 1;
        let bad = WebhookRequest { body: bytes.clone().into(), ..good.clone() };
        assert!(source.verify(&bad).is_err(), "body {index}");
        bytes[index] ^= 1;
    }
    let value = good.headers.get(signature).unwrap().as_bytes().to_vec();
    for index in 0..value.len() {
        let mut bytes = value.clone();
        bytes[index] ^= 1;
        let mut bad = good.clone();
        bad.headers.insert(http::HeaderName::try_from(signature).unwrap(), bytes.try_into().unwrap());
        assert!(source.verify(&bad).is_err(), "signature {index}");
    }
}

fn normalized<W: WebhookSource>(source: &W, request: &WebhookRequest) -> Event {
    let mut events = source.normalize(request).unwrap().events;
    assert_eq!(events.len(), 1);
    let event = events.pop().unwrap();
    assert_eq!(event.source(), "shop");
    event
}

/// Checks that every text and number of `body` is found in the event: as it is, as an amount in minor units, as the
/// same moment in UTC, or as an enum's name. Ids rounded by the recorder, and words in `renamed`, are exempt.
fn check_nothing_lost(name: &str, event: &Event, body: &RawValue, renamed: &[&str]) {
    let catalogue = TypeCatalogue::canonical();
    let view = EventView::new(event, &catalogue).to_value().unwrap();
    let shown = serde_json::to_string(&view).unwrap().replace('\\', "").to_lowercase();
    let body: serde_json::Value = serde_json::from_str(body.get()).unwrap();
    let mut leaves = Vec::new();
    collect(&body, &mut leaves);
    for leaf in leaves {
        let found = match leaf {
            serde_json::Value::String(text) => {
                let utc = DateTime::parse_from_rfc3339(text)
                    .map(|time| time.to_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
                let minor = text.split_once('.').map(|(whole, cents)| format!("{whole}{cents}"));
                let minor = minor.and_then(|digits| digits.parse::<i64>().ok());
                // A global id ends in the id, which stands beside it wherever it is not kept whole.
                let text =
                    text.strip_prefix("gid://shopify/").and_then(|id| id.split('/').nth(1)).unwrap_or(text);
                shown.contains(&text.to_lowercase())
                    || utc.is_ok_and(|utc| shown.contains(&utc.to_lowercase()))
                    || minor.is_some_and(|units| shown.contains(&format!("\"minor_units\":{units}")))
                    || text.split(", ").all(|tag| shown.contains(tag))
                    || renamed.contains(&text)
            }
            serde_json::Value::Number(number) => {
                let whole = number.as_i64().unwrap_or_default();
                let time = DateTime::<Utc>::from_timestamp_secs(whole)
                    .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
                whole > 1 << 53
                    || shown.contains(&number.to_string())
                    || time.is_some_and(|time| shown.contains(&time.to_lowercase()))
            }
            _ => true,
        };
        assert!(found, "{name}: {leaf} is lost in {shown}");
    }
}

fn collect<'a>(value: &'a serde_json::Value, leaves: &mut Vec<&'a serde_json::Value>) {
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, leaves)),
        serde_json::Value::Object(members) => members.values().for_each(|member| collect(member, leaves)),
        leaf => leaves.push(leaf),
    }
}

#[tokio::test]
async fn shopify() {
    let (_file, reference) = secret(KEY);
    let settings =
        serde_json::from_value(serde_json::json!({ "secret": reference, "currency": "USD" })).unwrap();
    let source = Shopify::connect(settings, &context()).await.unwrap();
    let mac = Mac::new(SHOPIFY.hash, SHOPIFY.key, &SecretText::new(KEY)).unwrap();
    for (name, recording) in recordings("shopify") {
        let body = recording.body.get();
        let signature = mac.sign(&[body.as_bytes()], SHOPIFY.encoding);
        let mut headers: Vec<(&str, &str)> =
            recording.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        headers.retain(|(name, _)| *name != "x-shopify-hmac-sha256");
        headers.push(("x-shopify-hmac-sha256", &signature));
        let request = request(&headers, body);
        check_signature(&source, &request, "x-shopify-hmac-sha256");
        let event = normalized(&source, &request);
        assert_eq!(event.id(), recording.headers["x-shopify-webhook-id"]);
        let triggered = &recording.headers["x-shopify-triggered-at"];
        assert_eq!(event.time().unwrap(), triggered.parse::<DateTime<Utc>>().unwrap());
        let topic = &recording.headers["x-shopify-topic"];
        let resource = topic.split('/').next().unwrap();
        let is_canonical =
            matches!(resource, "orders" | "customers" | "products" | "refunds" | "fulfillments");
        let is_order = !["edited", "risk_assessment_changed", "shopify_protect_eligibility_changed"]
            .iter()
            .any(|topic| name.contains(topic));
        assert_eq!(
            canonical_message(event.kind()).is_some(),
            is_canonical && is_order,
            "{name}: {}",
            event.kind()
        );
        if !(is_canonical && is_order) {
            assert_eq!(event.kind(), format!("shopify.{}", topic.replace('/', ".")));
            assert!(event.is_json());
        }
        check_nothing_lost(&name, &event, &recording.body, &["no_restock", "deny", "392.00"]);
        if let Some(exact) = global_id(body) {
            let view = EventView::new(&event, &context().catalogue).to_value().unwrap();
            let id = view.at(["data", "id"]).cloned();
            if is_canonical && is_order {
                assert_eq!(id, Some(exact.as_str().into()), "{name}");
            }
        }
    }
}

/// The digits of the object's own `admin_graphql_api_id`.
fn global_id(body: &str) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    body.get("admin_graphql_api_id")?.as_str()?.rsplit('/').next().map(str::to_owned)
}

#[tokio::test]
async fn stripe() {
    let (_file, reference) = secret(KEY);
    let settings = serde_json::from_value(serde_json::json!({ "secret": reference })).unwrap();
    let source = Stripe::connect(settings, &context()).await.unwrap();
    let mac = Mac::new(STRIPE.hash, STRIPE.key, &SecretText::new(KEY)).unwrap();
    for (name, recording) in recordings("stripe") {
        let body = recording.body.get();
        let time = now().timestamp().to_string();
        let signature = mac.sign(&[time.as_bytes(), b".", body.as_bytes()], STRIPE.encoding);
        let request = request(&[("stripe-signature", &format!("t={time},v1={signature}"))], body);
        check_signature(&source, &request, "stripe-signature");
        let event = normalized(&source, &request);
        let parsed: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(event.id(), parsed["id"]);
        assert_eq!(event.time().unwrap().timestamp(), parsed["created"].as_i64().unwrap());
        let kind = parsed["type"].as_str().unwrap();
        let object = serde_json::to_string(&parsed["data"]["object"]).unwrap();
        match kind {
            "customer.created" | "customer.updated" => {
                assert_eq!(event.kind(), format!("commerce.{kind}"));
                check_nothing_lost(&name, &event, &RawValue::from_string(object).unwrap(), &["none"]);
            }
            _ => {
                assert_eq!(event.kind(), format!("stripe.{kind}"));
                check_nothing_lost(&name, &event, &recording.body, &[]);
            }
        }
    }
}
