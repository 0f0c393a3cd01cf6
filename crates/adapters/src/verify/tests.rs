//! The verifier against published vectors, the official Standard Webhooks crate, and every change of a byte (X8).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use http::HeaderValue;
use tempfile::NamedTempFile;
use trunkline_sdk::SecretText;

use super::*;
use crate::testing::{now, request, secret};

const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDAAAAAAAA";
const OTHER: &str = "whsec_AAAAsBQIhrscChlQIMV+b5sSYspob7oDAAAAAAAA";

fn verifier(scheme: Scheme, secrets: &[&str]) -> (Verifier, Vec<NamedTempFile>) {
    let (files, references): (Vec<_>, Vec<_>) = secrets.iter().map(|text| secret(text)).unzip();
    let list: SecretList = serde_json::from_value(serde_json::json!(references)).unwrap();
    (Verifier::new(scheme, list, TOLERANCE, Secrets::default()), files)
}

fn sign(scheme: &Scheme, key: &str, pieces: &[&[u8]]) -> String {
    Mac::new(scheme.hash, scheme.key, &SecretText::new(key)).unwrap().sign(pieces, scheme.encoding)
}

/// Valid requests of each scheme, `age` seconds old, signed with `key`.
fn signed(key: &str, age: i64) -> Vec<(Scheme, WebhookRequest)> {
    let body = br#"{"id":1,"total":"9.99"}"#;
    let time = (now().timestamp() - age).to_string();
    let stripe = sign(&STRIPE, key, &[time.as_bytes(), b".", body]);
    let standard = sign(&STANDARD_WEBHOOKS, key, &[b"msg_1.", time.as_bytes(), b".", body]);
    let hook = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", time.as_str()),
        ("webhook-signature", &format!("v1,{standard}")),
    ];
    vec![
        (STRIPE, request(&[("stripe-signature", &format!("t={time},v1={stripe}"))], body)),
        (SHOPIFY, request(&[("x-shopify-hmac-sha256", &sign(&SHOPIFY, key, &[body]))], body)),
        (
            GITHUB,
            request(&[("x-hub-signature-256", &format!("sha256={}", sign(&GITHUB, key, &[body])))], body),
        ),
        (STANDARD_WEBHOOKS, request(&hook, body)),
    ]
}

#[test]
fn githubs_published_vector() {
    let (verifier, _files) = verifier(GITHUB, &["It's a Secret to Everybody"]);
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(verifier.verify(&request(&[("X-Hub-Signature-256", signature)], "Hello, World!")), Ok(()));
    let upper = signature.to_uppercase();
    assert!(verifier.verify(&request(&[("X-Hub-Signature-256", &upper)], "Hello, World!")).is_err());
}

#[test]
fn what_the_official_crate_signs_is_accepted() {
    let official = standardwebhooks::Webhook::new(KEY).unwrap();
    let (verifier, _files) = verifier(STANDARD_WEBHOOKS, &[KEY]);
    for body in ["", "{}", "{\"a\":\"ü\"}", "not json", &"x".repeat(100_000)] {
        for age in [-300, -1, 0, 1, 300] {
            let time = now().timestamp() - age;
            let signature = official.sign("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", time, body.as_bytes()).unwrap();
            let headers = [
                ("webhook-id", "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"),
                ("webhook-timestamp", &time.to_string()),
                ("webhook-signature", &signature),
            ];
            assert_eq!(verifier.verify(&request(&headers, body)), Ok(()), "{body:.20} {age}");
        }
    }
}

#[test]
fn any_changed_byte_is_refused() {
    for (scheme, good) in signed(KEY, 0) {
        let (verifier, _files) = verifier(scheme.clone(), &[KEY]);
        assert_eq!(verifier.verify(&good), Ok(()));
        for mask in [0x01, 0x02, 0x20, 0x80] {
            for index in 0..good.body.len() {
                let mut bytes = good.body.to_vec();
                bytes[index] ^= mask;
                let bad = WebhookRequest { body: bytes.into(), ..good.clone() };
                assert!(verifier.verify(&bad).is_err(), "{scheme:?} body {index} {mask}");
            }
            for (name, value) in &good.headers {
                for index in 0..value.len() {
                    let mut bytes = value.as_bytes().to_vec();
                    bytes[index] ^= mask;
                    let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
                    let mut bad = good.clone();
                    bad.headers.insert(name, value);
                    assert!(verifier.verify(&bad).is_err(), "{scheme:?} {name} {index} {mask}");
                }
            }
        }
        for cut in [0, 1, good.body.len() - 1] {
            let bad = WebhookRequest { body: good.body.slice(..cut), ..good.clone() };
            assert!(verifier.verify(&bad).is_err());
        }
    }
}

#[test]
fn a_time_too_far_away_is_refused_in_both_directions() {
    for age in [-301, -3600, 301, 86_400] {
        for (scheme, request) in signed(KEY, age).into_iter().filter(|(scheme, _)| scheme.timestamp.is_some())
        {
            let (verifier, _files) = verifier(scheme, &[KEY]);
            assert_eq!(verifier.verify(&request), Err(Refusal::OutsideTolerance(-age)));
        }
    }
    for age in [-300, 300] {
        for (scheme, request) in signed(KEY, age) {
            assert!(verifier(scheme, &[KEY]).0.verify(&request).is_ok(), "{age}");
        }
    }
}

#[test]
fn every_active_secret_counts_and_no_other() {
    for (scheme, request) in signed(KEY, 0) {
        let of = |secrets: &[&str]| {
            let (verifier, _files) = verifier(scheme.clone(), secrets);
            verifier.verify(&request)
        };
        assert_eq!(of(&[OTHER, KEY]), Ok(()));
        assert_eq!(of(&[KEY, OTHER]), Ok(()));
        assert_eq!(of(&[OTHER]), Err(Refusal::WrongSignature));
        let (gone, files) = verifier(scheme.clone(), &[KEY]);
        drop(files);
        assert!(matches!(gone.verify(&request), Err(Refusal::NoSecret(problem)) if !problem.contains(KEY)));
    }
    let (verifier, _files) = verifier(STANDARD_WEBHOOKS, &["whsec_not base64!"]);
    let (_, request) = signed(KEY, 0).pop().unwrap();
    assert!(matches!(verifier.verify(&request), Err(Refusal::NoSecret(_))));
}

#[track_caller]
fn check(scheme: &Scheme, headers: &[(&str, &str)], body: &str, expected: Result<(), Refusal>) {
    let (verifier, _files) = verifier(scheme.clone(), &[KEY]);
    assert_eq!(verifier.verify(&request(headers, body)), expected, "{headers:?}");
}

#[test]
fn signature_headers_of_every_form() {
    let malformed = |name: &str| Err(Refusal::MalformedHeader(name.to_owned()));
    let missing = |name: &str| Err(Refusal::MissingHeader(name.to_owned()));
    let time = now().timestamp().to_string();
    let good = sign(&STRIPE, KEY, &[time.as_bytes(), b".", b"{}"]);
    let zero = "0".repeat(64);
    let stripe = |header: &str, expected| check(&STRIPE, &[("stripe-signature", header)], "{}", expected);
    stripe(&format!("t={time},v1={zero},v1={good}"), Ok(()));
    stripe(&format!("v0={zero},v1={good},t={time},v9=x"), Ok(()));
    stripe(&format!("t={time},v0={good}"), Err(Refusal::WrongSignature));
    stripe(&format!("t={time},v1="), Err(Refusal::WrongSignature));
    stripe(&format!("t={time}"), Err(Refusal::WrongSignature));
    stripe(&format!("v1={good}"), malformed("stripe-signature"));
    stripe(&format!("t={time},t={time},v1={good}"), malformed("stripe-signature"));
    stripe(&format!("t=+{time},v1={good}"), malformed("stripe-signature"));
    stripe(&format!("t={time}.0,v1={good}"), malformed("stripe-signature"));
    stripe(&format!("t=99999999999999999999,v1={good}"), malformed("stripe-signature"));
    stripe(&format!("t={time}{}", format!(",v1={zero}").repeat(17)), malformed("stripe-signature"));
    stripe("", malformed("stripe-signature"));
    check(&STRIPE, &[], "{}", missing("stripe-signature"));
    let header = format!("t={time},v1={good}");
    let twice = [("stripe-signature", header.as_str()), ("stripe-signature", header.as_str())];
    check(&STRIPE, &twice, "{}", missing("stripe-signature"));
}

#[test]
fn standard_webhooks_headers_of_every_form() {
    let time = now().timestamp().to_string();
    let good = sign(&STANDARD_WEBHOOKS, KEY, &[b"msg_1.", time.as_bytes(), b".", b"{}"]);
    let hook = |id: &str, signature: &str, expected| {
        let headers =
            [("webhook-id", id), ("webhook-timestamp", time.as_str()), ("webhook-signature", signature)];
        check(&STANDARD_WEBHOOKS, &headers, "{}", expected);
    };
    hook("msg_1", &format!("v1a,{good} v1,AAAA v1,{good}"), Ok(()));
    hook("msg_1", &format!("v1a,{good}"), Err(Refusal::WrongSignature));
    hook("msg_1", &good, Err(Refusal::WrongSignature));
    hook("msg_2", &format!("v1,{good}"), Err(Refusal::WrongSignature));
    // The same signed bytes, cut elsewhere: id `a.1`, time and body could be taken for another request's.
    let ambiguous = sign(&STANDARD_WEBHOOKS, KEY, &[b"a.1.", time.as_bytes(), b".", b"{}"]);
    hook("a.1", &format!("v1,{ambiguous}"), Err(Refusal::MalformedHeader("webhook-id".to_owned())));
}
