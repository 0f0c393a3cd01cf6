//! X11: secrets do not leave their references.

use std::path::Path;

use serde_json::json;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::{Instance, Setup, fixture, signing};
use walkdir::WalkDir;

use crate::SOON;

/// What must be found nowhere. Each is written so that no encoding of it by accident contains another's.
const CANARIES: [(&str, &str); 8] = [
    ("SHOP", "canary-shopify-7d1f"),
    ("PAY", "whsec_canary-stripe-93ab"),
    ("BEARER", "canary-bearer-5e0c"),
    ("PASSWORD", "canary-password-b7aa"),
    ("API", "canary-api-key-0f9d"),
    ("SIGN", "whsec_Y2FuYXJ5LXNpZ25pbmctc2VjcmV0LWMwZmZlZQ=="),
    ("KEY", "canary-gateway-key-44de"),
    ("OPERATOR", "canary-console-key-21bc"),
];

/// What is asked of the console.
const LOOKED_AT: [&str; 11] = [
    "account",
    "audit",
    "destinations",
    "dead-letters",
    "dead-letters/groups",
    "replays",
    "events",
    "explain?id=no",
    "openapi.json",
    "tail?channel=events&from=oldest&limit=3",
    "tail?channel=journey&from=oldest&limit=3",
];

fn sections(receiver: &Receiver) -> String {
    let url = receiver.url("/x");
    format!(
        "sources:
  shop: {{ adapter: shopify, settings: {{ secret: '${{env:SHOP}}' }} }}
  pay: {{ adapter: stripe, settings: {{ secret: '${{env:PAY}}' }} }}
destinations:
  bearer: {{ adapter: http, retry: {{ max_attempts: 2, first: 10ms }}, settings: {{ url: '{url}', allow_private: true, bearer: '${{env:BEARER}}' }} }}
  basic: {{ adapter: http, settings: {{ url: '{url}', allow_private: true, basic: {{ user: u, password: '${{env:PASSWORD}}' }} }} }}
  api: {{ adapter: http, settings: {{ url: '{url}', allow_private: true, api_key: {{ header: x-api-key, value: '${{env:API}}' }} }} }}
  signed: {{ adapter: http, settings: {{ url: '{url}', allow_private: true, sign: {{ standard_webhooks: '${{env:SIGN}}' }} }} }}
subscriptions:
  a: {{ match: {{ source: [suite, shop, pay] }}, to: bearer }}
  b: {{ match: {{ source: [suite, shop, pay] }}, to: basic }}
  c: {{ match: {{ source: [suite, shop, pay] }}, to: api }}
  d: {{ match: {{ source: [suite, shop, pay] }}, to: signed }}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_found_anywhere() {
    let receiver = Receiver::start().await.unwrap();
    // A platform that says everything it heard, whatever it answers.
    receiver.answer_by(|request| {
        let heard: String =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        let status = match request.header("ce-id") {
            Some("ok") => 200,
            Some("no") => 422,
            Some("unauthorized") => 401,
            _ => 500,
        };
        Answer::status(status).body(heard)
    });
    let mut setup = Setup::new(sections(&receiver))
        .gateway("keys: [{ name: p, secret: '${env:KEY}', scopes: [publish] }]")
        .console("keys: [{ name: o, secret: '${env:OPERATOR}', scopes: [operate] }]")
        .environment("TRUNKLINE_LOG", "trace");
    for (name, value) in CANARIES {
        setup = setup.environment(name, value);
    }
    setup = setup.environment("TRUNKLINE_KEY", CANARIES[7].1);
    let mut bus = Instance::start(setup).await;
    let mut said = exercise(&bus).await;
    bus.reconfigure(|setup| setup.sections = setup.sections.replace("to: signed", "to: nobody"));
    trunkline_tests::eventually("the refusal", SOON, async || bus.log().contains("nobody").then_some(()))
        .await;
    said.push(("/metrics".to_owned(), bus.metrics().await));
    assert!(bus.terminate(SOON).await.success());
    said.push(("the log".to_owned(), bus.log()));
    for (name, secret) in CANARIES {
        for (place, text) in &said {
            assert!(!text.contains(secret), "{name} stands in {place}:\n{}", around(text, secret));
        }
        let files = files_with(&bus.folder().join("data"), secret.as_bytes());
        assert!(files.is_empty(), "{name} stands in {files:?}");
    }
    // That what is searched is what was said: the references are there.
    assert!(said.iter().any(|(_, text)| text.contains("422")), "nothing was exercised");
}

/// Does everything once, right and wrong, and gives everything that was answered or printed.
async fn exercise(bus: &Instance) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let bearer = |secret: &str| ("authorization".to_owned(), format!("Bearer {secret}"));
    let json = ("content-type".to_owned(), "application/cloudevents+json".to_owned());
    let body = br#"{"id": 1}"#;
    let topic = ("x-shopify-topic".to_owned(), "checkouts/create".to_owned());
    let signed = |secret| ("x-shopify-hmac-sha256".to_owned(), signing::shopify(secret, body));
    for headers in
        [vec![topic.clone()], vec![topic.clone(), signed("wrong")], vec![topic, signed(CANARIES[0].1)]]
    {
        said.push(("/hooks/shop".to_owned(), text(&bus.hook("shop", &headers, body).await)));
    }
    for id in ["ok", "no", "fails", "unauthorized"] {
        let event = fixture::event(id, "suite.made", json!({ "a": 1 })).to_string();
        let headers = [json.clone(), bearer(CANARIES[6].1)];
        let answer = bus.send(reqwest::Method::POST, bus.gateway("/v1/events"), &headers, event).await;
        said.push(("/v1/events".to_owned(), text(&answer)));
    }
    let operator = [bearer(CANARIES[7].1)];
    let get = async |path: &str| bus.send(reqwest::Method::GET, bus.console(path), &operator, "").await;
    let letters = trunkline_tests::eventually("dead letters", SOON, async || {
        let list = get("/api/v1/dead-letters").await.expect(200).json();
        let ids: Vec<String> =
            list["items"].as_array()?.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        (ids.len() >= 4).then_some(ids)
    })
    .await;
    for path in LOOKED_AT {
        said.push((path.to_owned(), text(&get(&format!("/api/v1/{path}")).await)));
    }
    for id in &letters {
        said.push((id.clone(), text(&get(&format!("/api/v1/dead-letters/{id}")).await)));
    }
    said.extend(commands(bus, &letters[0]).await);
    said
}

/// What the command line prints.
async fn commands(bus: &Instance, letter: &str) -> Vec<(String, String)> {
    let mut said = Vec::new();
    let event = bus.folder().join("event.json");
    std::fs::write(&event, fixture::event("tried", "suite.made", json!({})).to_string()).unwrap();
    let event = event.to_str().unwrap();
    for arguments in [
        &["check"][..],
        &["try", event],
        &["try", event, "--json"],
        &["dlq", "list"],
        &["dlq", "show", letter],
        &["destinations"],
        &["explain", "no"],
        &["pause", "basic"],
        &["resume", "basic"],
        &["adapters"],
    ] {
        let printed = bus.run(arguments).await;
        said.push((format!("{arguments:?}"), format!("{}{}", printed.out, printed.err)));
    }
    said
}

fn text(answer: &trunkline_tests::Answered) -> String {
    format!("{} {:?} {}", answer.status, answer.headers, String::from_utf8_lossy(&answer.body))
}

fn around<'a>(text: &'a str, secret: &str) -> &'a str {
    let at = text.find(secret).unwrap();
    &text[text.floor_char_boundary(at.saturating_sub(300))
        ..text.ceil_char_boundary((at + 100).min(text.len()))]
}

fn files_with(folder: &Path, secret: &[u8]) -> Vec<String> {
    let files =
        WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let mut searched = 0;
    let found = files
        .filter(|entry| {
            searched += 1;
            std::fs::read(entry.path()).unwrap().windows(secret.len()).any(|window| window == secret)
        })
        .map(|entry| entry.path().display().to_string())
        .collect();
    assert!(searched >= 2, "only {searched} files in the data folder");
    found
}

/// A secret that is not set: `check` warns, a start refuses, both by the reference's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_not_set_stops_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1\nsources: { shop: { adapter: shopify, settings: { secret: '${env:NOT_SET_ANYWHERE}' } } }\n";
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let run = async |command: &str| {
        trunkline_tests::command::run(&[command, "-c", "trunkline.yaml"], folder.path(), &[]).await
    };
    let checked = run("check").await.expect(0);
    assert!(format!("{}{}", checked.out, checked.err).contains("NOT_SET_ANYWHERE"), "{checked:?}");
    let started = run("up").await.expect(3);
    assert!(format!("{}{}", started.out, started.err).contains("NOT_SET_ANYWHERE"), "{started:?}");
}
