//! Dead letters listed, filtered, grouped, shown and discarded.

use serde_json::{Value, json};
use trunkline_sdk::core::DeadLetter;
use trunkline_sdk::{serde_json, tokio};

use crate::made::{dead, rejected, webhook};
use crate::world::{World, eventually};

/// Six dead letters: 1 to 3 of one cause, 4 rejected with 404, 5 rejected without an answer, 6 another destination's.
fn letters() -> Vec<DeadLetter> {
    vec![
        dead("1", "crm", 1),
        dead("2", "crm", 2),
        dead("3", "crm", 3),
        rejected("4", "crm", 4, Some(404)),
        rejected("5", "crm", 5, None),
        dead("6", "erp", 6),
    ]
}

fn of(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["event_id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_of_the_query_means_what_it_says() {
    let world = World::start().await;
    let ids = world.buried(&letters()).await;
    let check = async |query: &str, expected: &[&str]| {
        let list = world.read(&format!("/api/v1/dead-letters?{query}")).await;
        assert_eq!(of(&list), expected, "{query}");
    };
    check("", &["6", "5", "4", "3", "2", "1"]).await;
    check("destination=erp", &["6"]).await;
    check("subscription=orders&destination=crm&reason=attempts_exhausted", &["3", "2", "1"]).await;
    check("subscription=other", &[]).await;
    check("source=shop&event_id=2", &["2"]).await;
    check("type=order.created&status=404", &["4"]).await;
    check("status=0", &["5"]).await;
    check("reason=rejected", &["5", "4"]).await;
    check("class=transient&until=2026-01-01T00:00:03Z", &["2", "1"]).await;
    check("since=2026-01-01T00:00:05Z", &["6", "5"]).await;
    check("contained=webhook", &[]).await;
    check("state=discarded", &[]).await;
    check("text=ORDER%204", &["4"]).await;
    check("text=%25", &[]).await;
    check("cause=order%20%23%20is%20refused", &["5", "4"]).await;
    check(&format!("ids={},{},none", ids[0], ids[5]), &["6", "1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_cover_everything_once() {
    let world = World::start().await;
    world.buried(&letters()).await;
    let mut seen = Vec::new();
    let mut path = "/api/v1/dead-letters?limit=4&destination=crm".to_owned();
    loop {
        let page = world.read(&path).await;
        seen.extend(of(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/dead-letters?limit=4&destination=crm&after={next}");
    }
    assert_eq!(seen, ["5", "4", "3", "2", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_filter_means_the_group_and_nothing_else() {
    let world = World::start().await;
    world.buried(&letters()).await;
    let groups = world.read("/api/v1/dead-letters/groups?destination=crm").await;
    let groups = groups["items"].as_array().unwrap();
    let counts: Vec<u64> = groups.iter().map(|group| group["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [3, 1, 1]);
    for group in groups {
        let asked = json!({ "filter": group["filter"], "dry_run": true });
        let answer = world.post("/api/v1/replays", &asked).await.expect(200);
        assert_eq!(answer["would_replay"], group["count"], "{group}");
        assert_eq!(group["filter"]["state"], "waiting");
    }
    let narrowed = world.read("/api/v1/dead-letters/groups?until=2026-01-01T00:00:03Z").await;
    let group = &narrowed["items"][0];
    let asked = json!({ "filter": group["filter"], "dry_run": true });
    let answer = world.post("/api/v1/replays", &asked).await.expect(200);
    assert_eq!((&group["count"], &answer["would_replay"]), (&json!(2), &json!(2)), "what was asked is in it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_shown_whole_with_what_would_be_sent_today() {
    let world = World::start().await;
    let ids = world.buried(&[dead("1", "crm", 1), dead("6", "erp", 6), webhook(r#"{"id": "w"}"#)]).await;
    let shown = world.read(&format!("/api/v1/dead-letters/{}", ids[0])).await;
    assert_eq!(shown["event"]["data"]["order"], "1");
    assert_eq!(shown["body"]["content"], r#"{"then": "1"}"#);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(shown["attempts"][1]["status"], 503);
    assert_eq!(shown["attempts"][1]["response"], "down for maintenance");
    assert_eq!(shown["would_send"]["target"], "POST https://crm.example.com/orders/1");
    assert_eq!(shown["would_send"]["body"], r#"{"today":"1"}"#);
    let text = shown.to_string();
    assert!(text.contains("${file:secret}") && !text.contains("of-the-hook"), "{text}");
    let external = world.read(&format!("/api/v1/dead-letters/{}", ids[1])).await;
    assert!(external["would_send"]["error"].is_string(), "{external}");
    let webhook = world.read(&format!("/api/v1/dead-letters/{}", ids[2])).await;
    assert_eq!(webhook["request"]["body"], r#"{"id": "w"}"#);
    assert_eq!(webhook["would_send"]["events"][0]["id"], "w");
    world.get("/api/v1/dead-letters/none").await.refused(404, "No dead letter `none`.");
}

#[tokio::test(flavor = "multi_thread")]
async fn discarding_needs_a_reason_and_says_so_everywhere() {
    let world = World::start().await;
    let ids = world.buried(&letters()).await;
    let discard = async |body: Value| world.post("/api/v1/dead-letters/discard", &body).await;
    let filter = json!({ "destination": "crm", "reason": "rejected" });
    discard(json!({ "filter": filter })).await.refused(400, "missing field `reason`");
    discard(json!({ "filter": filter, "reason": " " })).await.refused(400, "needs a reason");
    discard(json!({ "filter": filter, "reason": "x".repeat(1001) })).await.refused(400, "1000 characters");
    discard(json!({ "filter": {}, "reason": "r" })).await.refused(400, "every dead letter");
    let delivered = json!({ "filter": { "state": "delivered" }, "reason": "r" });
    discard(delivered).await.refused(400, "Only dead letters that are `waiting`");
    let dry = discard(json!({ "filter": filter, "reason": "r", "dry_run": true })).await.expect(200);
    assert_eq!(dry["would_discard"], 2);
    let done = discard(json!({ "filter": filter, "reason": "test orders" })).await.expect(200);
    assert_eq!(done["discarded"], 2);
    let again = discard(json!({ "filter": filter, "reason": "test orders" })).await.expect(200);
    assert_eq!(again["discarded"], 0);
    let shown = world.read(&format!("/api/v1/dead-letters/{}", ids[3])).await;
    assert_eq!(
        (&shown["state"], &shown["history"][0]["detail"]),
        (&json!("discarded"), &json!("test orders"))
    );
    let steps = eventually("the journey says so", async || {
        let explained = world.get("/api/v1/explain?id=4").await;
        explained.status.is_success().then_some(explained.body)
    })
    .await;
    let step = &steps["steps"][0];
    assert_eq!((&step["step"], &step["detail"]), (&json!("discarded"), &json!("test orders")));
    let audit = world.read("/api/v1/audit").await;
    assert_eq!(audit["items"][1]["action"], "discard");
    assert_eq!(audit["items"][1]["detail"]["reason"], "test orders");
    let waiting = world.read("/api/v1/dead-letters?state=waiting&destination=crm").await;
    assert_eq!(of(&waiting), ["3", "2", "1"]);
}
