#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::json;
use trunkline_sdk::core::event::Data;

use super::*;
use crate::testing::{context, now, request, secret};

async fn connect(settings: serde_json::Value) -> Result<Hmac, SetupError> {
    Hmac::connect(serde_json::from_value(settings).unwrap(), &context()).await
}

fn only(normalized: Normalized) -> Event {
    let [event] = normalized.events.try_into().unwrap();
    event
}

#[tokio::test]
async fn githubs_preset_needs_nothing_but_a_secret() {
    let (_file, reference) = secret("It's a Secret to Everybody");
    let source = connect(json!({ "secret": reference, "scheme": "github" })).await.unwrap();
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(source.verify(&request(&[("x-hub-signature-256", signature)], "Hello, World!")), Ok(()));
    let headers =
        [("x-github-delivery", "72d3162e"), ("x-github-event", "push"), ("content-type", "application/json")];
    let event = only(source.normalize(&request(&headers, r#"{"ref":"main"}"#)).unwrap());
    assert_eq!((event.id(), event.kind(), event.source()), ("72d3162e", "github.push", "shop"));
    assert!(matches!(event.data(), Data::Text(text) if text.as_str() == r#"{"ref":"main"}"#));
}

#[tokio::test]
async fn a_scheme_described_in_its_parts() {
    let (_file, reference) = secret("00ff");
    let source = connect(json!({
        "secret": [reference],
        "signature": {
            "header": "X-Sig", "separator": ";", "prefix": "s=", "algorithm": "sha512", "encoding": "base64", "key": "hex",
            "signed": "{method}:{url}:{header:x-id}:{timestamp}:{body}",
            "timestamp": { "item": "t=", "unit": "milliseconds" },
        },
        "tolerance": "1m",
        "id": "header:X-Id",
        "type": "/event/name",
        "type_prefix": "acme.",
        "partition_key": "/event/orders/0/id",
        "time": "/event/at",
    }))
    .await
    .unwrap();
    let body = r#"{"event":{"name":"made","orders":[{"id":12}],"at":1700000000123}}"#;
    let sent = |age: i64, id: &str| {
        let time = (now().timestamp_millis() - age * 1000).to_string();
        let text = format!("POST:https://hooks.example.com/hooks/shop:{id}:{time}:{body}");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, &[0, 255]);
        let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
        let signature = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, tag);
        request(&[("x-id", id), ("x-sig", &format!("t={time};s={signature}"))], body)
    };
    assert_eq!(source.verify(&sent(60, "d1")), Ok(()));
    assert_eq!(source.verify(&sent(61, "d1")), Err(Refusal::OutsideTolerance(-61)));
    assert_eq!(source.verify(&sent(-61, "d1")), Err(Refusal::OutsideTolerance(61)));
    assert_eq!(source.verify(&sent(0, "d:1")), Err(Refusal::MalformedHeader("x-id".to_owned())));
    let event = only(source.normalize(&sent(0, "d1")).unwrap());
    assert_eq!((event.id(), event.kind()), ("d1", "acme.made"));
    assert_eq!(event.text_attribute("partitionkey"), Some("12"));
    assert_eq!(event.time().unwrap().timestamp_millis(), 1_700_000_000_123);
}

#[tokio::test]
async fn bodies_of_every_sort() {
    let settings =
        json!({ "secret": "${env:UNUSED}", "scheme": "standard-webhooks", "type": "a.fixed.type" });
    let source = connect(settings).await.unwrap();
    let form = [("content-type", "application/x-www-form-urlencoded"), ("webhook-id", "m1")];
    let event = only(source.normalize(&request(&form, "a=1")).unwrap());
    assert_eq!((event.id(), event.kind()), ("m1", "a.fixed.type"));
    assert!(matches!(event.data(), Data::Binary(bytes) if bytes == &b"a=1"[..]));
    let same = |body: &str| only(source.normalize(&request(&[], body)).unwrap()).id().to_owned();
    assert_eq!(same("{}"), same("{}"));
    assert_ne!(same("{}"), same("[]"));
    for bad in ["{", r#"{"a":1,"a":2}"#, &"[".repeat(70)] {
        assert_eq!(source.normalize(&request(&[], bad)).unwrap_err().field, "body");
    }
}

#[tokio::test]
async fn a_scheme_that_proves_nothing_is_refused() {
    let signature =
        |signature: serde_json::Value| json!({ "secret": "${env:A}", "type": "t", "signature": signature });
    for (settings, field) in [
        (json!({ "secret": "${env:A}", "type": "t" }), ""),
        (
            json!({ "secret": "${env:A}", "type": "t", "scheme": "github", "signature": { "header": "x" } }),
            "signature",
        ),
        (json!({ "secret": "${env:A}", "signature": { "header": "x" } }), "type"),
        (signature(json!({ "header": "x y" })), "signature.header"),
        (signature(json!({ "header": "x", "signed": "{url}" })), "signature.signed"),
        (signature(json!({ "header": "x", "signed": "{body" })), "signature.signed"),
        (signature(json!({ "header": "x", "signed": "{id}.{body}" })), "signature.signed"),
        (signature(json!({ "header": "x", "signed": "{timestamp}.{body}" })), "signature.timestamp"),
        (signature(json!({ "header": "x", "timestamp": { "header": "t" } })), "signature.timestamp"),
        (
            signature(json!({ "header": "x", "signed": "{timestamp}{body}", "timestamp": {} })),
            "signature.timestamp",
        ),
        (json!({ "secret": "${env:A}", "scheme": "github", "id": "X-Id" }), "id"),
        (json!({ "secret": "${env:A}", "scheme": "github", "time": "header:a b" }), "time"),
    ] {
        let error = connect(settings).await.err().unwrap();
        assert_eq!(error.field, field, "{error}");
    }
    for settings in [
        json!({ "scheme": "github" }),
        json!({ "secret": [], "scheme": "github" }),
        json!({ "secret": "literal" }),
    ] {
        assert!(serde_json::from_value::<HmacSettings>(settings).is_err());
    }
}
