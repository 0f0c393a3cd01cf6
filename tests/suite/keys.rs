//! Every operation of gateway and console x no key, a wrong one, a wrong scope, the right scope.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::{Answered, Instance, Setup, eventually, fixture, signing};

use crate::SOON;

const KEYS: &str = "keys:
  - { name: publisher, secret: '${env:PUBLISHER}', scopes: [publish] }
  - { name: reader, secret: '${env:READER}', scopes: [read] }
  - { name: operator, secret: '${env:OPERATOR}', scopes: [operate] }";
const HOOK: &str = "of-the-hook";

/// What an operation needs so that it can succeed, made before each of them.
struct Prepared {
    dead: Vec<String>,
    replay: String,
}

async fn bus() -> (Instance, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    receiver.answer_always(Answer::status(400).body("no such contact"));
    let destination = fixture::http("crm", &receiver.url("/crm"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "crm");
    let sections = format!(
        "sources:\n  shop: {{ adapter: shopify, settings: {{ secret: '${{env:HOOK}}' }} }}\n{}",
        fixture::sections(&[destination], &[subscription])
    );
    let setup = Setup::new(sections)
        .gateway(KEYS)
        .console(KEYS)
        .environment("PUBLISHER", "key-of-publisher")
        .environment("READER", "key-of-reader")
        .environment("OPERATOR", "key-of-operator")
        .environment("HOOK", HOOK);
    (Instance::start(setup).await, receiver)
}

fn bearer(key: &str) -> Vec<(String, String)> {
    let json = ("content-type".to_owned(), "application/json".to_owned());
    match key {
        "" => vec![json],
        key => vec![json, ("authorization".to_owned(), format!("Bearer {key}"))],
    }
}

async fn call(bus: &Instance, method: &str, path: &str, key: &str, body: &Value) -> Answered {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).unwrap();
    bus.send(method, bus.console(path), &bearer(key), body).await
}

/// Dead letters to act on, and a replay that is still under way.
async fn prepare(bus: &Instance) -> Prepared {
    let mut headers = bearer("key-of-publisher");
    headers[0].1 = "application/cloudevents+json".to_owned();
    for at in 0..8 {
        let event = fixture::event(&format!("e{at}"), "suite.made", json!({})).to_string();
        bus.send(Method::POST, bus.gateway("/v1/events"), &headers, event).await.expect(202);
    }
    let dead: Vec<String> = eventually("eight dead letters", SOON, async || {
        let list =
            call(bus, "get", "/api/v1/dead-letters", "key-of-reader", &Value::Null).await.expect(200).json();
        let ids: Vec<String> =
            list["items"].as_array()?.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
        (ids.len() == 8).then_some(ids)
    })
    .await;
    let slow = json!({ "filter": { "ids": [dead[0], dead[1], dead[2]] }, "rate": "1/h" });
    let replay = call(bus, "post", "/api/v1/replays", "key-of-operator", &slow).await.expect(202).json();
    Prepared { dead, replay: replay["id"].as_str().unwrap().to_owned() }
}

/// How an operation is called so that it succeeds: path and body.
fn requests(prepared: &Prepared) -> BTreeMap<(&'static str, &'static str), (String, Value)> {
    let Prepared { dead, replay } = prepared;
    let get = |template: &'static str, path: &str| (("get", template), (path.to_owned(), Value::Null));
    let post =
        |template: &'static str, path: &str, body: Value| (("post", template), (path.to_owned(), body));
    BTreeMap::from([
        get("/api/v1/dead-letters", "/api/v1/dead-letters?destination=crm&limit=2"),
        get("/api/v1/dead-letters/groups", "/api/v1/dead-letters/groups"),
        get("/api/v1/dead-letters/{id}", &format!("/api/v1/dead-letters/{}", dead[0])),
        post(
            "/api/v1/dead-letters/discard",
            "/api/v1/dead-letters/discard",
            json!({ "filter": { "ids": [dead[4]] }, "reason": "a test" }),
        ),
        get("/api/v1/replays", "/api/v1/replays"),
        get("/api/v1/replays/{id}", &format!("/api/v1/replays/{replay}")),
        post("/api/v1/replays", "/api/v1/replays", json!({ "filter": { "ids": [dead[5]] } })),
        post("/api/v1/replays/{id}/cancel", &format!("/api/v1/replays/{replay}/cancel"), json!({})),
        get("/api/v1/destinations", "/api/v1/destinations"),
        get("/api/v1/destinations/{name}", "/api/v1/destinations/crm"),
        post(
            "/api/v1/destinations/{name}/pause",
            "/api/v1/destinations/crm/pause",
            json!({ "reason": "a test" }),
        ),
        post("/api/v1/destinations/{name}/resume", "/api/v1/destinations/crm/resume", json!({})),
        get("/api/v1/explain", "/api/v1/explain?id=e0"),
        get("/api/v1/events", "/api/v1/events"),
        get("/api/v1/account", "/api/v1/account"),
        get("/api/v1/audit", "/api/v1/audit"),
        get("/api/v1/tail", "/api/v1/tail?channel=events&from=oldest&limit=1"),
        get("/api/v1/openapi.json", "/api/v1/openapi.json"),
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_of_the_console_asks_for_its_scope() {
    let (bus, _receiver) = bus().await;
    let prepared = prepare(&bus).await;
    let requests = requests(&prepared);
    let document =
        call(&bus, "get", "/api/v1/openapi.json", "key-of-reader", &Value::Null).await.expect(200).json();
    let mut operations = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            operations += 1;
            let request = requests.iter().find(|((m, p), _)| m == method && p == path);
            let (_, (url, body)) =
                request.unwrap_or_else(|| panic!("say in this test how {method} {path} is called"));
            let scope = described["x-scope"].as_str().unwrap();
            let (wrong, right): (&[&str], &[&str]) = match scope {
                "read" => (&["key-of-publisher"], &["key-of-reader", "key-of-operator"]),
                "operate" => (&["key-of-publisher", "key-of-reader"], &["key-of-operator"]),
                other => panic!("{method} {path}: scope {other}"),
            };
            for key in ["", "key-of-nobody"] {
                call(&bus, method, url, key, body).await.expect(401);
            }
            for key in wrong {
                call(&bus, method, url, key, body).await.expect(403);
            }
            for key in right {
                let answer = call(&bus, method, url, key, body).await;
                assert!(answer.is_success(), "{method} {url} with {key}: {answer:?}");
            }
        }
    }
    assert!(operations > 10, "only {operations} operations are described");
    assert_eq!(operations, requests.len(), "this test knows operations that are not described");
    audited(&bus).await;
}

/// Every action is in the audit log under the key's name, and no refused one is.
async fn audited(bus: &Instance) {
    let audit = call(bus, "get", "/api/v1/audit", "key-of-reader", &Value::Null).await.expect(200).json();
    let entries = audit["items"].as_array().unwrap();
    let mut actions: Vec<&str> = entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert!(entries.iter().all(|entry| entry["who"] == "operator"), "{audit}");
    actions.sort_unstable();
    assert_eq!(actions, ["cancel_replay", "discard", "pause", "replay", "replay", "resume"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_asks_for_publish_and_for_signatures() {
    let (bus, _receiver) = bus().await;
    for (at, (key, status)) in [
        ("", 401),
        ("key-of-nobody", 401),
        ("key-of-publishe", 401),
        ("key-of-reader", 403),
        ("key-of-operator", 403),
        ("key-of-publisher", 202),
    ]
    .into_iter()
    .enumerate()
    {
        let mut headers = bearer(key);
        headers[0].1 = "application/cloudevents+json".to_owned();
        let event = fixture::event(&at.to_string(), "suite.made", json!({})).to_string();
        bus.send(Method::POST, bus.gateway("/v1/events"), &headers, event).await.expect(status);
    }
    // A webhook's key is its signature; a bearer token is none.
    let body = br#"{"id": 1}"#;
    let topic = ("x-shopify-topic".to_owned(), "checkouts/create".to_owned());
    let signed = |secret: &str| ("x-shopify-hmac-sha256".to_owned(), signing::shopify(secret, body));
    bus.hook("shop", std::slice::from_ref(&topic), body).await.expect(401);
    bus.hook("shop", &[topic.clone(), bearer("key-of-publisher")[1].clone()], body).await.expect(401);
    bus.hook("shop", &[topic.clone(), signed("another")], body).await.expect(401);
    bus.hook("shop", &[topic, signed(HOOK)], body).await.expect(200);
}

/// Without keys a service is for this machine only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_keys_listens_to_nobody_else() {
    for section in ["gateway", "console"] {
        let folder = tempfile::tempdir().unwrap();
        let port = trunkline_tests::ports::free();
        let text = format!("version: 1\n{section}: {{ listen: 0.0.0.0:{port} }}\n");
        std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
        let printed =
            trunkline_tests::command::run(&["up", "-c", "trunkline.yaml"], folder.path(), &[]).await;
        let printed = printed.expect(3);
        let said = format!("{}{}", printed.out, printed.err);
        assert!(said.contains(&format!("{section}.keys")), "{said}");
    }
}
