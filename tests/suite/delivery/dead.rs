//! Dead letters: seen, grouped, judged, replayed once, given up; through the API and through the command line.

use serde_json::json;
use trunkline_sdk::testing::Answer;
use trunkline_tests::eventually;

use super::{QUICK, bus, dead_letters, publish};
use crate::SOON;

/// Answers 422 to what is named `bad..` until it is well, and 200 to the rest.
fn refuse_bad(receiver: &trunkline_sdk::testing::Receiver) {
    receiver.answer_by(|request| {
        let bad = request.header("ce-id").is_some_and(|id| id.starts_with("bad"));
        if bad { Answer::status(422).body(r#"{"error":"no such contact"}"#) } else { Answer::ok() }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_says_everything_about_itself() {
    let (bus, receiver) = bus(QUICK).await;
    refuse_bad(&receiver);
    publish(&bus, "bad-1").await;
    publish(&bus, "good").await;
    publish(&bus, "bad-2").await;
    let dead = dead_letters(&bus, 2).await;
    assert_eq!(dead.len(), 2);
    let groups = bus.list("/api/v1/dead-letters/groups").await;
    assert_eq!(
        (groups.len(), &groups[0]["count"], &groups[0]["status"]),
        (1, &2.into(), &422.into()),
        "{groups:?}"
    );
    let id = dead.iter().find(|letter| letter["event_id"] == "bad-1").unwrap()["id"].as_str().unwrap();
    let letter = bus.get(&format!("/api/v1/dead-letters/{id}")).await.expect(200).json();
    assert_eq!((&letter["reason"], &letter["state"]), (&"rejected".into(), &"waiting".into()));
    assert_eq!((&letter["event"]["id"], &letter["event"]["data"]["id"]), (&"bad-1".into(), &"bad-1".into()));
    let [attempt] = &letter["attempts"].as_array().unwrap()[..] else { panic!("{letter:#}") };
    assert_eq!(attempt["status"], 422);
    assert!(attempt["response"].as_str().unwrap().contains("no such contact"), "{attempt}");
    assert!(attempt["request"].as_str().unwrap().starts_with("POST http://127.0.0.1"), "{attempt}");
    let target = letter["would_send"]["target"].as_str().unwrap();
    assert_eq!(target, format!("POST {}", receiver.url("/crm")));

    // The same through the command line.
    let list = bus.run(&["dlq", "list", "--destination", "crm", "--json"]).await.expect(0).lines();
    assert_eq!(list.len(), 2);
    let grouped = bus.run(&["dlq", "list", "--group", "--json"]).await.expect(0).lines();
    assert_eq!((grouped.len(), &grouped[0]["count"]), (1, &2.into()));
    let shown = bus.run(&["dlq", "show", id, "--json"]).await.expect(0).lines();
    assert_eq!(shown[0]["event"], letter["event"]);
    let text = bus.run(&["dlq", "show", id]).await.expect(0).out;
    assert!(text.contains("bad-1") && text.contains("no such contact"), "{text}");
    bus.run(&["dlq", "show", "nothing"]).await.expect(1);
    let explained = bus.run(&["explain", "bad-1"]).await.expect(0).out;
    assert!(explained.contains("dead") && explained.contains(id), "{explained}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_delivers_once_under_the_same_id() {
    let (bus, receiver) = bus(QUICK).await;
    refuse_bad(&receiver);
    publish(&bus, "bad-1").await;
    let dead = dead_letters(&bus, 1).await;
    let id = dead[0]["id"].as_str().unwrap().to_owned();
    let first = receiver.requests().remove(0);
    receiver.answer_always(Answer::ok());

    let filter = json!({ "destination": "crm" });
    let dry =
        bus.post("/api/v1/replays", &json!({ "filter": filter, "dry_run": true })).await.expect(200).json();
    assert_eq!((&dry["would_replay"], &dry["ids"]), (&1.into(), &json!([id])), "{dry}");
    assert_eq!(receiver.count(), 1, "a dry run sent something");

    let replay =
        bus.run(&["dlq", "replay", "--destination", "crm", "--json"]).await.expect(0).lines().remove(0);
    assert_eq!(replay["progress"]["delivered"], 1, "{replay}");
    let again = receiver.requests().remove(1);
    assert_eq!(
        (again.header("webhook-id"), again.header("ce-id")),
        (first.header("webhook-id"), Some("bad-1"))
    );
    assert_eq!(again.body, first.body);

    // Refused the second time, unless forced.
    let asked = json!({ "filter": { "ids": [id] } });
    let refused = bus.post("/api/v1/replays", &asked).await.expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("force"), "{refused}");
    bus.run(&["dlq", "replay", &id]).await.expect(1);
    assert_eq!(receiver.count(), 2);
    bus.run(&["dlq", "replay", &id, "--force"]).await.expect(0);
    assert_eq!(receiver.count(), 3);
    let account = bus.settled(SOON).await;
    assert_eq!(account["deliveries"]["dead"], 0, "{account}");

    let audit = bus.list("/api/v1/audit").await;
    let actions: Vec<_> = audit
        .iter()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["who"].as_str().unwrap()))
        .collect();
    assert_eq!(actions, [("replay", "local"), ("replay", "local")], "{audit:?}");
    let letter = bus.get(&format!("/api/v1/dead-letters/{id}")).await.expect(200).json();
    assert_eq!(letter["state"], "delivered", "{letter:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_can_be_slowed_and_stopped() {
    let (bus, receiver) = bus(QUICK).await;
    refuse_bad(&receiver);
    for at in 0..5 {
        publish(&bus, &format!("bad-{at}")).await;
    }
    dead_letters(&bus, 5).await;
    receiver.answer_always(Answer::ok());
    let asked = json!({ "filter": { "destination": "crm" }, "rate": "1/h" });
    let replay = bus.post("/api/v1/replays", &asked).await.expect(202).json();
    let id = replay["id"].as_str().unwrap();
    receiver.wait_for(6, SOON).await.expect("the first is sent at once");
    let cancelled = bus.post(&format!("/api/v1/replays/{id}/cancel"), &json!({})).await.expect(200).json();
    assert_eq!(cancelled["not_sent"], 4, "{cancelled}");
    bus.post(&format!("/api/v1/replays/{id}/cancel"), &json!({})).await.expect(409);
    eventually("what was not sent to wait again", SOON, async || {
        let waiting = bus.list("/api/v1/dead-letters?state=waiting").await;
        (waiting.len() == 4).then_some(())
    })
    .await;
    assert_eq!(receiver.count(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_needs_a_reason_and_stays_on_record() {
    let (bus, receiver) = bus(QUICK).await;
    refuse_bad(&receiver);
    publish(&bus, "bad-1").await;
    let id = dead_letters(&bus, 1).await[0]["id"].as_str().unwrap().to_owned();
    let filter = json!({ "ids": [id] });
    bus.post("/api/v1/dead-letters/discard", &json!({ "filter": filter, "reason": " " })).await.expect(400);
    bus.post("/api/v1/dead-letters/discard", &json!({ "filter": {}, "reason": "all" })).await.expect(400);
    bus.run(&["dlq", "discard", &id]).await.expect(2);
    bus.run(&["dlq", "discard", &id, "--reason", "a test order"]).await.expect(0);
    bus.run(&["dlq", "discard", &id, "--reason", "again"]).await.expect(1);
    let letter = bus.get(&format!("/api/v1/dead-letters/{id}")).await.expect(200).json();
    let last = letter["history"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&letter["state"], &last["detail"]),
        (&"discarded".into(), &"a test order".into()),
        "{letter:#}"
    );
    let account = bus.settled(SOON).await;
    assert_eq!((&account["deliveries"]["discarded"], &account["deliveries"]["dead"]), (&1.into(), &0.into()));
    bus.post("/api/v1/replays", &json!({ "filter": filter })).await.expect(409);
}

/// A webhook that is authentic but can't be understood is kept and answered 2xx; a replay normalizes it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_does_not_normalize_is_kept() {
    let receiver = trunkline_sdk::testing::Receiver::start().await.unwrap();
    let sections = format!(
        "sources:\n  shop: {{ adapter: shopify, settings: {{ secret: '${{env:SHOP}}' }} }}\n{}",
        trunkline_tests::fixture::sections(
            &[trunkline_tests::fixture::http("crm", &receiver.url("/"), "")],
            &[trunkline_tests::fixture::subscription("all", "{ source: [shop] }", "crm")],
        )
    );
    let setup = trunkline_tests::Setup::new(sections).environment("SHOP", "s");
    let bus = trunkline_tests::Instance::start(setup).await;
    let body = br#"{"id": 1, "id": 2}"#;
    let headers = [
        ("x-shopify-topic".to_owned(), "orders/create".to_owned()),
        ("x-shopify-hmac-sha256".to_owned(), trunkline_tests::signing::shopify("s", body)),
    ];
    bus.hook("shop", &headers, body).await.expect(200);
    let dead = dead_letters(&bus, 1).await;
    assert_eq!(
        (&dead[0]["origin"], &dead[0]["reason"]),
        (&"gateway".into(), &"not_normalized".into()),
        "{dead:?}"
    );
    let id = dead[0]["id"].as_str().unwrap();
    let letter = bus.get(&format!("/api/v1/dead-letters/{id}")).await;
    letter.expect(200);
    assert!(!String::from_utf8_lossy(&letter.body).contains(&headers[1].1), "the signature was kept");
    assert_eq!(letter.json()["request"]["body"], String::from_utf8_lossy(body).as_ref());
    assert_eq!(receiver.count(), 0);
}
