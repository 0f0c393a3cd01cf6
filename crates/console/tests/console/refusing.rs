//! Who is refused, and what hostile input does: nothing.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use trunkline_sdk::{serde_json, tokio};

use crate::made::dead;
use crate::world::{Answer, World};

const KEYS: &str = r#"
  keys:
    - { name: reader, secret: "${file:reader}", scopes: [read] }
    - { name: operator, secret: "${file:operator}", scopes: [operate] }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_asked_for_and_named_in_the_audit_log() {
    let world = World::with(KEYS).await;
    let call = async |method: Method, path: &str, key: &str, body: &str| {
        let request = world.request(method, path).header("content-type", "application/json");
        let request = if key.is_empty() { request } else { request.bearer_auth(key) };
        Answer::of(request.body(body.to_owned())).await
    };
    let get = async |key: &str| call(Method::GET, "/api/v1/dead-letters", key, "").await;
    get("").await.refused(401, "Authorization: Bearer KEY");
    get("nobody").await.refused(401, "none of console.keys");
    get("key-of-reader").await.expect(200);
    get("key-of-operator").await.expect(200);
    let pause = async |key: &str| call(Method::POST, "/api/v1/destinations/crm/pause", key, "{}").await;
    pause("").await.expect(401);
    pause("key-of-reader").await.refused(403, "Key `reader` lacks the scope `operate`.");
    pause("key-of-operator").await.expect(200);
    let audit = call(Method::GET, "/api/v1/audit", "key-of-reader", "").await.expect(200);
    let who: Vec<&Value> = audit["items"].as_array().unwrap().iter().map(|entry| &entry["who"]).collect();
    assert_eq!(who, ["operator"], "what was refused is not noted as done");
    let unread = world.request(Method::GET, "/api/v1/dead-letters?nonsense=1").send().await.unwrap();
    assert_eq!(unread.status(), 401, "nobody learns anything without a key");
    assert_eq!(unread.headers()["www-authenticate"], "Bearer");
    let named = world.request(Method::GET, "/api/v1/account").bearer_auth("key-of-reader");
    Answer::of(named.header("host", "console.example.com")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_meant_is_said_as_a_problem() {
    let world = World::start().await;
    world.get("/nothing").await.refused(404, "/api/v1/openapi.json");
    world.get("/api/v2/dead-letters").await.expect(404);
    world.post("/api/v1/account", &json!({})).await.expect(405);
    world.post("/", &json!({})).await.expect(405);
    Answer::of(world.request(Method::DELETE, "/api/v1/replays")).await.expect(405);
    world.get("/api/v1/account?verbose=1").await.refused(400, "`verbose` is not known here; known: none.");
    world.get("/api/v1/dead-letters?destinaton=crm").await.refused(400, "known: destination, subscription");
    world.get("/api/v1/dead-letters?limit=1&limit=2").await.refused(400, "`limit` is given twice");
    world.get("/api/v1/dead-letters?limit=0").await.refused(400, "1 to 500");
    world
        .get("/api/v1/dead-letters?after=zzz")
        .await
        .refused(400, "`after`: `zzz` is no cursor of this list");
    world.get("/api/v1/dead-letters/%FF").await.expect(400);
    let replays = |body: &'static str| {
        let request = world.request(Method::POST, "/api/v1/replays");
        Answer::of(request.header("content-type", "application/json").body(body))
    };
    replays("{").await.expect(400);
    replays("").await.expect(400);
    replays(r#"{"filter": {}, "forced": true}"#).await.refused(400, "unknown field `forced`");
}

/// A page of another site can make the operator's browser send requests, but neither as JSON nor under our name.
#[tokio::test(flavor = "multi_thread")]
async fn no_web_page_acts_in_an_operators_name() {
    let world = World::start().await;
    for path in ["/api/v1/destinations/crm/pause", "/api/v1/destinations/crm/resume"] {
        Answer::of(world.request(Method::POST, path)).await.refused(415, "Content-Type: application/json");
        let simple = world.request(Method::POST, path).header("content-type", "text/plain").body("{}");
        Answer::of(simple).await.expect(415);
    }
    let rebound = world.request(Method::GET, "/api/v1/dead-letters").header("host", "evil.example:8090");
    Answer::of(rebound).await.refused(403, "Call it by 127.0.0.1, or configure console.keys");
    let local = world.request(Method::GET, "/api/v1/dead-letters").header("host", "localhost:8090");
    Answer::of(local).await.expect(200);
    let preflight =
        world.request(Method::OPTIONS, "/api/v1/replays").header("origin", "https://evil.example");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(preflight.headers().get("access-control-allow-origin").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_input_is_only_text() {
    let world = World::start().await;
    let hostile = [
        "' OR '1' = '1",
        "'; DROP TABLE dead_letters; --",
        "%",
        "_",
        "\\",
        "\u{0}",
        "\u{1b}[2J",
        "\r\nx-injected: 1",
        "<script>alert(1)</script>",
        "${env:HOME}",
        "\u{10ffff}",
        "../../etc/passwd",
    ];
    let names = ["destination", "subscription", "source", "event_id", "type", "cause", "text", "ids"];
    world.buried(&[dead("1", "crm", 1)]).await;
    for text in hostile {
        for name in names {
            let path = format!("/api/v1/dead-letters?{name}={}", encoded(text));
            let answer = world.get(&path).await.expect(200);
            assert_eq!(answer["items"], json!([]), "{name} = {text:?}");
        }
        for path in ["dead-letters", "replays", "destinations"] {
            world.get(&format!("/api/v1/{path}/{}", encoded(text))).await.expect(404);
        }
        world.get(&format!("/api/v1/explain?id={}", encoded(text))).await.expect(404);
        world.get(&format!("/api/v1/dead-letters?after={}", encoded(text))).await.expect(400);
        world.get(&format!("/api/v1/tail?channel={}", encoded(text))).await.expect(400);
        let discard = json!({ "filter": { "text": text, "destination": text }, "reason": text });
        let discarded = world.post("/api/v1/dead-letters/discard", &discard).await.expect(200);
        assert_eq!(discarded["discarded"], 0);
        world.post("/api/v1/replays", &json!({ "filter": { "destination": text } })).await.expect(404);
        let paused =
            world.post("/api/v1/destinations/erp/pause", &json!({ "reason": text })).await.expect(200);
        let kept = text.replace('\u{0}', "\u{fffd}"); // Databases take no NUL in a text.
        assert_eq!(paused["reason"], kept, "it is kept as it was said");
    }
    let deep = format!(r#"{{"filter": {}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let request = world.request(Method::POST, "/api/v1/replays").header("content-type", "application/json");
    Answer::of(request.body(deep)).await.expect(400);
    let request = world.request(Method::POST, "/api/v1/replays").header("content-type", "application/json");
    // One byte too many, so that all is read before the answer: what is still being sent can break the connection.
    Answer::of(request.body(vec![b' '; (2 << 20) + 1])).await.expect(413);
    assert_eq!(world.read("/api/v1/dead-letters").await["items"].as_array().unwrap().len(), 1);
}

/// Every byte percent-encoded, so that nothing on the way takes it for syntax.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
