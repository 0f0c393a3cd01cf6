//! A webhook of which one byte is another is not the platform's.

use std::io::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use rand::RngExt as _;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use trunkline_adapters::{Shopify, Stripe};
use trunkline_sdk::{AnyWebhookSource, WebhookRequest, testing};
use trunkline_tests::recorded::{self, Recorded};
use trunkline_tests::{Instance, Seed, Setup, signing};

use super::{STRIPE, bus, source};

/// A source in this process, with the secret in a file.
async fn verifier(platform: &str, secret: &str) -> (Arc<dyn AnyWebhookSource>, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(secret.as_bytes()).unwrap();
    let settings = format!("{{ secret: '${{file:{}}}' }}", file.path().display());
    let source = match platform {
        "shopify" => testing::source::<Shopify>(&settings).await,
        _ => testing::source::<Stripe>(&settings).await,
    };
    (source.unwrap(), file)
}

fn request(headers: &[(String, String)], body: &[u8]) -> WebhookRequest {
    let headers = headers.iter().map(|(name, value)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    WebhookRequest {
        source: "suite".to_owned(),
        method: Method::POST,
        url: "http://localhost/hooks/suite".to_owned(),
        headers: headers.collect::<HeaderMap>(),
        body: body.to_vec().into(),
        received: Utc::now(),
    }
}

/// Every byte of body and signature, one after the other.
async fn exhaust(platform: &'static str) {
    let secret = source(platform).1;
    let (verifier, _file) = verifier(platform, secret).await;
    let mut tried = 0;
    for recorded in recorded::all(platform) {
        let mut body = recorded.bytes();
        let signature = recorded.signature(secret, &body);
        let genuine = request(std::slice::from_ref(&signature), &body);
        verifier.verify(&genuine).unwrap_or_else(|refusal| panic!("{}: {refusal}", recorded.name));
        for at in 0..body.len() {
            body[at] ^= 1;
            let forged = WebhookRequest { body: body.clone().into(), ..genuine.clone() };
            assert!(verifier.verify(&forged).is_err(), "{}: byte {at} of the body", recorded.name);
            body[at] ^= 1;
            tried += 1;
        }
        for at in 0..signature.1.len() {
            let mut forged = signature.1.clone().into_bytes();
            forged[at] ^= 1;
            let forged = (signature.0.clone(), String::from_utf8(forged).unwrap());
            let refused = verifier.verify(&request(std::slice::from_ref(&forged), &body)).is_err();
            assert!(refused, "{}: byte {at} of `{}`", recorded.name, signature.1);
            tried += 1;
        }
    }
    println!("{platform}: {tried} forgeries refused");
}

#[tokio::test]
async fn no_byte_of_a_shopify_webhook_can_be_changed() {
    exhaust("shopify").await;
}

#[tokio::test]
async fn no_byte_of_a_stripe_webhook_can_be_changed() {
    exhaust("stripe").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgeries_are_answered_401() {
    let recorded: Vec<Recorded> = [recorded::all("shopify"), recorded::all("stripe")].concat();
    if recorded.is_empty() {
        return;
    }
    let mut random = Seed::of_this_run().generator(0);
    let (bus, _receiver) = bus().await;
    for request in &recorded {
        let ((name, secret), genuine) = (source(request.platform), request.bytes());
        let headers = request.signed_headers(secret, &genuine);
        let mut body = genuine.clone();
        let at = random.random_range(0..body.len());
        body[at] ^= 1;
        bus.hook(name, &headers, &body).await.expect(401);
        let mut forged = headers.clone();
        let (_, signature) = forged.last_mut().unwrap();
        let at = random.random_range(0..signature.len());
        let byte = (signature.as_bytes()[at] ^ 1) as char;
        signature.replace_range(at..=at, byte.encode_utf8(&mut [0; 4]));
        bus.hook(name, &forged, &genuine).await.expect(401);
        bus.hook(name, &request.headers, &genuine).await.expect(401);
    }
    let account = bus.get("/api/v1/account").await.expect(200).json();
    assert_eq!(account["events"]["accepted"], 0, "{account}");
}

/// X8: times too old and too new, wrong and rotated keys, other schemes' signatures.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_hold_by_their_time_and_key() {
    let (bus, _receiver) = bus().await;
    let body =
        br#"{"id":"evt_1","object":"event","type":"invoice.paid","created":1677833998,"data":{"object":{}}}"#;
    let now = signing::now();
    let good = signing::stripe(STRIPE, now, body);
    let (time, signature) = good.split_once(',').unwrap();
    let v0 = signature.replace("v1=", "v0=");
    for (header, status) in [
        (signing::stripe(STRIPE, now - 3600, body), 401),
        (signing::stripe(STRIPE, now + 3600, body), 401),
        (signing::stripe("whsec_other", now, body), 401),
        (signing::stripe("", now, body), 401),
        (signature.to_owned(), 401),
        (time.to_owned(), 401),
        (format!("{time},{v0}"), 401),
        (format!("t=0,{good}"), 401),
        (String::new(), 401),
        // While a secret is rotated, platforms send a signature by each.
        (format!("{time},v1={},{signature}", "0".repeat(64)), 200),
        (format!("{time},{v0},{signature}"), 200),
    ] {
        let headers = [("stripe-signature".to_owned(), header.clone())];
        let answer = bus.hook("pay", &headers, body).await;
        assert_eq!(answer.status, status, "{header}: {answer:?}");
    }
}

/// X8 by the specification of Standard Webhooks: what is signed is `id.timestamp.body`, so an id with a dot could be cut
/// elsewhere and mean another request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_webhooks_hold_by_their_specification() {
    const KEY: &[u8; 24] = b"the key of this suite 24";
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    let sources =
        "sources:\n  sw: { adapter: hmac, settings: { secret: '${env:SW}', scheme: standard-webhooks } }\n";
    let bus = Instance::start(Setup::new(sources).environment("SW", &secret)).await;
    let body = br#"{"type":"user.created","timestamp":"2026-01-02T03:04:05Z","data":{}}"#;
    let now = signing::now();
    let sign = |key: &[u8], id: &str, time: i64| {
        let time = time.to_string();
        let signed: [&[u8]; 5] = [id.as_bytes(), b".", time.as_bytes(), b".", body];
        format!("v1,{}", STANDARD.encode(signing::hmac(key, &signed)))
    };
    let good = sign(KEY, "msg_1", now);
    for (id, time, signature, status) in [
        ("msg_1", now, good.clone(), 200),
        ("msg_1", now, format!("v1,AAAA v1a,AAAA {good}"), 200),
        ("msg_1", now, good.replace("v1,", "v2,"), 401),
        ("msg_2", now, good.clone(), 401),
        ("msg_1", now + 1, good, 401),
        ("msg.1", now, sign(KEY, "msg.1", now), 401),
        ("msg_1", now - 600, sign(KEY, "msg_1", now - 600), 401),
        ("msg_1", now + 600, sign(KEY, "msg_1", now + 600), 401),
        ("msg_1", now, sign(secret.as_bytes(), "msg_1", now), 401),
    ] {
        let time = time.to_string();
        let headers = [("webhook-id", id), ("webhook-timestamp", &time), ("webhook-signature", &signature)];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let answer = bus.hook("sw", &headers, body).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
    }
}
