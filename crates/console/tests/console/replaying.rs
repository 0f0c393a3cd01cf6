//! Replays over the API: which are made, which are refused, what they send and where to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_sdk::broker::{ChannelName, GroupName};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::journey::{JourneyCounts, Step};
use trunkline_sdk::core::{DeadLetter, DeadLetterReason, Delivery};
use trunkline_sdk::{serde_json, tokio};

use crate::made::{dead, dead_of, delivery, journey};
use crate::world::{World, configuration, eventually, ids};

fn crm() -> Value {
    json!({ "filter": { "destination": "crm" } })
}

fn letters(count: usize) -> Vec<DeadLetter> {
    (0..count).map(|number| dead(&number.to_string(), "crm", number as i64)).collect()
}

/// The dispatcher says that replayed deliveries were taken.
async fn delivered(world: &World, deliveries: &[Delivery]) {
    let number = deliveries.len() as u64;
    let counts = JourneyCounts { delivered: number, attempts: number, ..JourneyCounts::default() };
    world.tell(journey("dispatcher", Step::Delivered, deliveries, counts)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_to_its_destination_in_todays_form_and_nowhere_else() {
    let world = World::start().await;
    let ids = world.buried(&[dead("1", "crm", 1), dead("2", "crm", 2), dead("1", "erp", 3)]).await;
    let dry = json!({ "filter": { "destination": "crm" }, "dry_run": true });
    let dry = world.post("/api/v1/replays", &dry).await.expect(200);
    assert_eq!((&dry["would_replay"], &dry["destination"]), (&json!(2), &json!("crm")));
    assert_eq!(dry["ids"], json!([ids[0], ids[1]]), "oldest first");
    assert_eq!(world.state_of(&ids[0]).await, "waiting", "a dry run changes nothing");

    let replay = world.replayed(&crm()).await;
    assert_eq!((&replay["state"], &replay["progress"]["sent"]), (&json!("done"), &json!(2)));
    let sent = world.sent("crm").await;
    let named: Vec<&str> = sent.iter().map(|delivery| delivery.event.id()).collect();
    assert_eq!(named.len(), 2);
    let first = sent.iter().find(|delivery| delivery.event.id() == "1").unwrap();
    assert_eq!(
        first.event.encoded(),
        delivery("1", "crm").event.encoded(),
        "the event's bytes are untouched"
    );
    assert_eq!(first.body.as_ref().unwrap().bytes, Bytes::from_static(br#"{"today":"1"}"#));
    assert_eq!((first.attempt, first.generation, first.attempts.len()), (0, 1, 0));
    assert_eq!(first.replay_id, replay["id"].as_str().unwrap());
    assert_eq!(first.rule_set.len(), 16);
    assert_eq!(world.lag(&ChannelName::events(), &GroupName::router()).await, 0);
    assert!(world.sent("erp").await.is_empty());
    assert_eq!(world.state_of(&ids[2]).await, "waiting");

    delivered(&world, &sent).await;
    eventually("both are delivered", async || {
        let replay = world.read(&format!("/api/v1/replays/{}", replay["id"].as_str().unwrap())).await;
        (replay["progress"]["delivered"] == 2).then_some(())
    })
    .await;
    let shown = world.read(&format!("/api/v1/dead-letters/{}", ids[0])).await;
    let states: Vec<&Value> = shown["history"].as_array().unwrap().iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["replaying", "delivered"]);
    let listed = world.read("/api/v1/replays").await;
    assert_eq!((&listed["items"][0]["id"], listed["items"].as_array().unwrap().len()), (&replay["id"], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_it_was_and_without_its_subscription_the_stored_body_goes_out() {
    let text = configuration("");
    let world = World::of(&text).await;
    let gone = Delivery { subscription: "gone".to_owned(), ..delivery("3", "crm") };
    let elsewhere = dead("1", "erp", 4);
    let mut failed = dead("5", "crm", 5);
    failed.reason = DeadLetterReason::TransformFailed;
    let letters = [dead("1", "crm", 1), dead_of(gone, 3), elsewhere, failed];
    let buried = world.buried(&letters).await;
    let asked = json!({ "filter": { "destination": "crm" }, "as_it_was": true });
    let replay = world.replayed(&asked).await;
    assert_eq!((&replay["progress"]["sent"], &replay["progress"]["skipped"]), (&json!(2), &json!(1)));
    assert_eq!(world.state_of(&buried[3]).await, "waiting", "its body was never made");
    let sent = world.sent("crm").await;
    let first = sent.iter().find(|delivery| delivery.event.id() == "1").unwrap();
    assert_eq!(first.body.as_ref().unwrap().bytes, Bytes::from_static(br#"{"then": "1"}"#));
    assert_eq!(first.rule_set, "then", "the version that made it");
    // `orders` goes to the CRM today: its transform is not made for the ERP.
    world.replayed(&json!({ "filter": ids(&[&buried[2]]) })).await;
    let sent = world.sent("erp").await;
    assert_eq!(sent[0].body.as_ref().unwrap().bytes, Bytes::from_static(br#"{"then": "1"}"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_replay_is_refused_with_the_remedy_unless_forced() {
    let world = World::start().await;
    let buried = world.buried(&letters(3)).await;
    world.replayed(&crm()).await;
    world.sent("crm").await;
    let again = world.post("/api/v1/replays", &crm()).await;
    again.refused(409, "None of 3 dead letters is replayed.");
    let one = json!({ "filter": ids(&[&buried[0]]) });
    let refused = world.post("/api/v1/replays", &one).await;
    refused.refused(409, "it is being replayed already. Repeat it with `force` to replay it all the same.");
    let dry = json!({ "filter": { "destination": "crm" }, "dry_run": true });
    let dry = world.post("/api/v1/replays", &dry).await.expect(200);
    assert_eq!((&dry["would_replay"], &dry["refused_count"]), (&json!(0), &json!(3)));
    assert_eq!(dry["refused"][0]["forcible"], true);
    assert!(world.sent("crm").await.is_empty());

    world.replayed(&json!({ "filter": ids(&[&buried[0]]), "force": true })).await;
    let sent = world.sent("crm").await;
    assert_eq!((sent.len(), sent[0].generation), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dies_again_is_a_newer_dead_letter_and_there_is_no_loop() {
    let world = World::with("  max_replays: 3\n").await;
    let first = world.buried(&[dead("1", "crm", 1)]).await.remove(0);
    let mut newest = first.clone();
    for generation in 1..=3_u32 {
        world.replayed(&json!({ "filter": ids(&[&newest]) })).await;
        let mut sent = world.sent("crm").await;
        assert_eq!((sent.len(), sent[0].generation), (1, generation));
        let died = world.buried(&[dead_of(sent.remove(0), 1 + i64::from(generation))]).await.remove(0);
        assert_eq!(world.state_of(&newest).await, "dead_again");
        world
            .post("/api/v1/replays", &json!({ "filter": ids(&[&newest]), "force": true }))
            .await
            .refused(409, "a newer dead letter stands for its delivery. Replay the newer one.");
        newest = died;
    }
    let asked = json!({ "filter": ids(&[&newest]) });
    world
        .post("/api/v1/replays", &asked)
        .await
        .refused(409, "it was replayed 3 times already. Repeat it with");
    let waiting = world.read("/api/v1/dead-letters?state=waiting").await;
    assert_eq!(waiting["items"].as_array().unwrap().len(), 1, "one dead letter stands for the delivery");
    world.replayed(&json!({ "filter": ids(&[&newest]), "force": true })).await;
    assert_eq!(world.sent("crm").await[0].generation, 4);
    let explained = eventually("the journey tells the lives", async || {
        let explained = world.get("/api/v1/explain?id=1").await;
        let steps = explained.body["steps"].as_array().map_or(0, Vec::len);
        (steps == 4).then_some(explained.body)
    })
    .await;
    assert_eq!(explained["dead_letters"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_stops_no_other_replay() {
    let world = World::start().await;
    world.buried(&letters(60)).await;
    let other = world.buried(&[dead("x", "erp", 1)]).await.remove(0);
    let slow = json!({ "filter": { "destination": "crm" }, "rate": "30/s" });
    let started = Instant::now();
    let made = world.post("/api/v1/replays", &slow).await.expect(202);
    assert_eq!(made["progress"]["pending"], 60);
    world.replayed(&json!({ "filter": ids(&[&other]) })).await;
    assert!(started.elapsed() < Duration::from_millis(1500), "a slow replay holds up another");
    let path = format!("/api/v1/replays/{}", made["id"].as_str().unwrap());
    eventually("the slow one is done", async || (world.read(&path).await["state"] == "done").then_some(()))
        .await;
    let took = started.elapsed().as_secs_f64();
    assert!((1.8..4.0).contains(&took), "60 at 30 a second took {took} s");
    assert_eq!(world.sent("crm").await.len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_is_not_sent_and_waits_again() {
    let world = World::start().await;
    let buried = world.buried(&letters(4)).await;
    let slow = json!({ "filter": { "destination": "crm" }, "rate": "1/2s" });
    let made = world.post("/api/v1/replays", &slow).await.expect(202);
    let path = format!("/api/v1/replays/{}", made["id"].as_str().unwrap());
    eventually("the first is sent", async || {
        (world.read(&path).await["progress"]["sent"] == 1).then_some(())
    })
    .await;
    let cancelled = world.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert_eq!(cancelled["not_sent"], 3);
    world.post(&format!("{path}/cancel"), &json!({})).await.refused(409, "not running any more");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(world.sent("crm").await.len(), 1, "something was sent after it was cancelled");
    let replay = world.read(&path).await;
    assert_eq!((&replay["state"], &replay["progress"]["skipped"]), (&json!("cancelled"), &json!(3)));
    assert_eq!(world.state_of(&buried[3]).await, "waiting");
    world.post("/api/v1/replays/none/cancel", &json!({})).await.refused(404, "No replay `none`");
    let audit = world.read("/api/v1/audit").await;
    let actions: Vec<&Value> = audit["items"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["cancel_replay", "replay"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_means_too_much_or_nothing_is_refused() {
    let world = World::start().await;
    let buried = world.buried(&[dead("1", "crm", 1), dead("2", "erp", 2)]).await;
    let refused = async |body: Value, status: u16, words: &str| {
        world.post("/api/v1/replays", &body).await.refused(status, words);
    };
    refused(json!({ "filter": {} }), 400, "every dead letter").await;
    refused(json!({ "filter": {}, "dry_run": true }), 400, "every dead letter").await;
    refused(json!({ "filter": { "type": "order.created" } }), 400, "several destinations: crm, erp.").await;
    refused(json!({ "filter": ids(&[&buried[0], &buried[1]]) }), 400, "A replay reaches one").await;
    refused(json!({ "filter": ids(&["none"]) }), 404, "No dead letter fits").await;
    refused(json!({ "filter": { "destination": "nobody" } }), 404, "No dead letter fits").await;
    refused(json!({ "filter": { "destinaton": "crm" } }), 400, "unknown field `destinaton`").await;
    refused(json!({ "filter": { "reason": "bored" } }), 400, "`bored` is no reason; it is one of").await;
    refused(json!({ "filter": { "destination": "crm" }, "rate": "fast" }), 400, "fast").await;
    refused(json!({ "filter": { "destination": "crm" }, "rate": "0/s" }), 400, "0/s").await;
    refused(json!([]), 400, "The body: ").await;
}
