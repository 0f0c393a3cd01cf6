//! What the tests of several adapters need.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tempfile::NamedTempFile;
use trunkline_sdk::core::EventBuilder;
use trunkline_sdk::{Body, Context, Delivery, Event, Secrets, TypeCatalogue, WebhookRequest};

/// A context without anything particular.
pub(crate) fn context() -> Context {
    Context {
        name: "shop".to_owned(),
        instance: "test".to_owned(),
        folder: Path::new(".").into(),
        secrets: Secrets::default(),
        catalogue: Arc::new(TypeCatalogue::canonical()),
    }
}

/// An event to be completed.
pub(crate) fn event() -> EventBuilder {
    Event::builder("e1", "shop", "test.made")
}

/// A delivery of an event.
pub(crate) fn delivery(event: Event, body: Option<Body>) -> Delivery {
    Delivery {
        event,
        body,
        subscription: "everything".to_owned(),
        destination: "crm".to_owned(),
        rule_set: "v1".to_owned(),
        attempt: 0,
        generation: 0,
        routed: now(),
        first_attempt: None,
        replay_id: String::new(),
        attempts: Vec::new(),
    }
}

/// When every test request comes in.
pub(crate) fn now() -> DateTime<Utc> {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// A secret in a file that lives as long as the first of the pair; the second is its reference.
pub(crate) fn secret(text: &str) -> (NamedTempFile, String) {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let reference = format!("${{file:{}}}", file.path().display());
    (file, reference)
}

/// A request with headers and a body.
pub(crate) fn request(headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> WebhookRequest {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        map.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    WebhookRequest {
        source: "shop".to_owned(),
        method: http::Method::POST,
        url: "https://hooks.example.com/hooks/shop".to_owned(),
        headers: map,
        body: body.into().into(),
        received: now(),
    }
}
