//! Destinations, journeys, the account, the audit log, tails and the description of it all.

use reqwest::Method;
use serde_json::{Value, json};
use trunkline_sdk::core::Delivery;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_sdk::{Event, serde_json, tokio};

use crate::made::{dead, delivery, event, journey};
use crate::world::{World, eventually, ids};

fn accepted(events: &[Event]) -> JourneyRecord {
    let now = trunkline_sdk::chrono::Utc::now();
    let steps: Vec<JourneyStep> =
        events.iter().map(|event| JourneyStep::of(Step::Accepted, event, now)).collect();
    let counts = JourneyCounts { accepted: steps.len() as u64, ..JourneyCounts::default() };
    JourneyRecord { instance: "test".into(), service: "gateway".into(), time: now, steps, counts }
}

fn counts(change: impl FnOnce(&mut JourneyCounts)) -> JourneyCounts {
    let mut counts = JourneyCounts::default();
    change(&mut counts);
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_is_paused_and_resumed_with_who_and_why() {
    let world = World::start().await;
    world.buried(&[dead("1", "crm", 1)]).await;
    world.bus.deliver(&delivery("2", "crm")).await.unwrap();
    let crm = world.read("/api/v1/destinations/crm").await;
    let expected = json!({
        "name": "crm", "adapter": "http", "external": false, "state": "open", "waiting": 1, "dead": 1
    });
    assert_eq!(crm, expected);
    let pause = json!({ "reason": "maintenance" });
    let paused = world.post("/api/v1/destinations/crm/pause", &pause).await.expect(200);
    assert_eq!((&paused["state"], &paused["by"]), (&json!("paused"), &json!("local")));
    assert_eq!(paused["reason"], "maintenance");
    let list = world.read("/api/v1/destinations").await;
    let states: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["paused", "open"]);
    let resumed = world.post("/api/v1/destinations/crm/resume", &json!({})).await.expect(200);
    assert_eq!(resumed["state"], "open");
    world
        .get("/api/v1/destinations/crn")
        .await
        .refused(404, "No destination `crn` is configured; there are: crm, erp.");
    world.post("/api/v1/destinations/router/pause", &pause).await.refused(404, "No destination `router`");
    let audit = world.read("/api/v1/audit?limit=1").await;
    assert_eq!(
        (&audit["items"][0]["action"], &audit["items"][0]["target"]),
        (&json!("resume"), &json!("crm"))
    );
    let next = audit["next"].as_str().unwrap();
    let audit = world.read(&format!("/api/v1/audit?after={next}")).await;
    assert_eq!((&audit["items"][0]["action"], &audit["next"]), (&json!("pause"), &Value::Null));
    assert_eq!(audit["items"][0]["who"], "local");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_explained_by_its_id_or_its_beginning() {
    let world = World::start().await;
    let twin = Event::builder("twin", "other", "t").json("{}").build().unwrap();
    let mut events = vec![event("abc-1"), event("abc-2"), event("xyz"), event("twin"), twin, event("7")];
    // More events than one answer has begin with the id of another.
    events.extend((0..60).map(|number| event(&format!("7{number}"))));
    world.tell(accepted(&events)).await;
    let attempted = Delivery { event: event("xyz"), ..delivery("xyz", "crm") };
    world
        .tell(journey("dispatcher", Step::Attempt, &[attempted], counts(|counts| counts.attempts = 1)))
        .await;
    let explained = eventually("both steps are known", async || {
        let explained = world.get("/api/v1/explain?id=xy").await;
        let steps = explained.body["steps"].as_array().map_or(0, Vec::len);
        (steps == 2).then_some(explained.body)
    })
    .await;
    assert_eq!((&explained["id"], &explained["source"]), (&json!("xyz"), &json!("shop")));
    assert_eq!(explained["steps"][0]["step"], "accepted");
    assert_eq!(
        (&explained["steps"][1]["attempt"], &explained["steps"][1]["destination"]),
        (&json!(2), &json!("crm"))
    );
    assert_eq!(world.read("/api/v1/explain?id=7").await["id"], "7", "a whole id means its event");
    world.get("/api/v1/explain?id=abc").await.refused(409, "Several events fit: abc-");
    world.get("/api/v1/explain?id=twin").await.refused(409, "and the source");
    assert_eq!(world.read("/api/v1/explain?id=twin&source=other").await["type"], "t");
    world.get("/api/v1/explain?id=nope").await.refused(404, "No step of an event `nope` is known");
    world.get("/api/v1/explain").await.refused(400, "Name the event");
    world.get("/api/v1/explain?id=").await.refused(400, "Name the event");

    let listed = async |query: &str| {
        let list = world.read(&format!("/api/v1/events?{query}")).await;
        list["items"].as_array().unwrap().len()
    };
    assert_eq!((listed("").await, listed("limit=500").await), (50, 66));
    assert_eq!((listed("id=abc").await, listed("type=t").await, listed("source=other").await), (2, 1, 1));
    assert_eq!(
        (listed("until=2026-01-01T00:00:00Z").await, listed("since=2020-01-01T00:00:00Z&limit=9").await),
        (0, 9)
    );
    let latest = world.read("/api/v1/events?id=xyz").await;
    assert_eq!(latest["items"][0]["last_step"], "attempt");
}

/// What each service says while two events are accepted: one is delivered, one dies and is replayed.
#[tokio::test(flavor = "multi_thread")]
async fn the_account_balances_at_every_rest() {
    let world = World::start().await;
    let balanced = async |deliveries: Value| {
        eventually(&format!("the account balances with {deliveries}"), async || {
            let account = world.read("/api/v1/account").await;
            let as_said = deliveries
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, value)| account["deliveries"][name] == *value);
            (account["balanced"] == true && as_said).then_some(())
        })
        .await;
    };
    let (fine, fails) = (delivery("1", "crm"), delivery("2", "crm"));
    for event in [&fine.event, &fails.event] {
        world.bus.publish(event).await.unwrap();
    }
    world.tell(accepted(&[fine.event.clone(), fails.event.clone()])).await;
    balanced(json!({ "made": 0 })).await;

    let router = trunkline_sdk::broker::GroupName::router();
    world.bus.drain(&trunkline_sdk::broker::ChannelName::events(), &router, 2, crate::SOON).await.unwrap();
    let both = [fine.clone(), fails.clone()];
    for delivery in &both {
        world.bus.deliver(delivery).await.unwrap();
    }
    let routed = counts(|counts| (counts.routed, counts.made) = (2, 2));
    world.tell(journey("router", Step::Routed, &both, routed)).await;
    balanced(json!({ "made": 2, "in_flight": 2, "held": 0 })).await;
    world.post("/api/v1/destinations/crm/pause", &json!({})).await.expect(200);
    balanced(json!({ "made": 2, "in_flight": 0, "held": 2 })).await;

    world.sent("crm").await;
    let delivered = counts(|counts| (counts.delivered, counts.attempts) = (1, 1));
    world.tell(journey("dispatcher", Step::Delivered, std::slice::from_ref(&fine), delivered)).await;
    let id = world.buried(&[dead("2", "crm", 1)]).await.remove(0);
    balanced(json!({ "delivered": 1, "dead": 1 })).await;

    world.replayed(&json!({ "filter": ids(&[&id]) })).await;
    balanced(json!({ "delivered": 1, "dead": 0, "held": 1, "replayed": 1 })).await;
    let again = world.sent("crm").await;
    let delivered = counts(|counts| (counts.delivered, counts.attempts) = (1, 1));
    world.tell(journey("dispatcher", Step::Delivered, &again, delivered)).await;
    balanced(json!({ "made": 2, "delivered": 2, "dead": 0, "held": 0, "in_flight": 0 })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_records_and_takes_nothing_away() {
    let world = World::start().await;
    for id in ["1", "2", "3"] {
        world.bus.publish(&event(id)).await.unwrap();
    }
    let tail = async |query: &str| {
        let response = world.request(Method::GET, &format!("/api/v1/tail?{query}")).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        let text = tokio::time::timeout(crate::SOON, response.text()).await.unwrap().unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let lines = tail("from=oldest&limit=2").await;
    assert_eq!((lines.len(), &lines[0]["channel"]), (2, &json!("events")));
    assert!(lines[0]["event"]["data"]["order"].is_string(), "{}", lines[0]);
    assert_eq!(
        world
            .lag(&trunkline_sdk::broker::ChannelName::events(), &trunkline_sdk::broker::GroupName::router())
            .await,
        3
    );
    world.bus.deliver(&delivery("4", "erp")).await.unwrap();
    let lines = tail("channel=deliver.erp&from=oldest&limit=1").await;
    assert_eq!(lines[0]["delivery"]["body"]["content"], r#"{"then": "4"}"#);
    assert!(tail("limit=0").await.is_empty());
    world.get("/api/v1/tail?channel=deliver.nobody").await.refused(404, "`deliver.nobody` is not there");
    world.get("/api/v1/tail?channel=..%2f..").await.refused(400, "is no channel");
    world.get("/api/v1/tail?from=tomorrow").await.refused(400, "neither `newest` nor `oldest`");
    world.get("/api/v1/tail?limit=x").await.refused(400, "`limit`: `x` is not a number");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_whole_and_the_page_needs_nothing_else() {
    let world = World::start().await;
    let document = world.read("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 14, "{}", paths.len());
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            for field in ["summary", "operationId", "x-scope", "parameters", "responses"] {
                assert!(!operation[field].is_null(), "{method} {path} lacks {field}");
            }
        }
    }
    let response = world.request(Method::GET, "/").send().await.unwrap();
    let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let page = response.text().await.unwrap();
    assert!(page.len() < 40_000, "{}", page.len());
    for foreign in ["http://", "https://", "innerHTML", "insertAdjacentHTML", "document.write", "eval("] {
        assert!(!page.contains(foreign), "the page has `{foreign}`");
    }
}
