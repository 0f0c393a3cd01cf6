//! D7: replays of events that fail again; D6 in small: a replay that is killed goes on and repeats nothing that is done.

use serde_json::{Value, json};
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::{Instance, Setup, eventually, fixture, heavy};

use crate::SOON;

async fn bus(console: &str) -> (Instance, Receiver) {
    let receiver = Receiver::start().await.unwrap();
    receiver.answer_always(Answer::status(422));
    let destination = fixture::http("crm", &receiver.url("/crm"), "");
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "crm");
    let setup = Setup::new(fixture::sections(&[destination], &[subscription])).console(console);
    (Instance::start(setup).await, receiver)
}

async fn waiting(bus: &Instance, count: usize) -> Vec<Value> {
    eventually(format!("{count} dead letters that wait"), SOON, async || {
        let items = bus.list("/api/v1/dead-letters?state=waiting&limit=500").await;
        (items.len() == count).then_some(items)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_again_and_again_is_not_replayed_for_ever() {
    let (bus, receiver) = bus("max_replays: 3").await;
    bus.publish(&fixture::event("e1", "suite.made", json!({}))).await.expect(202);
    for generation in 0..=3 {
        let letter = waiting(&bus, 1).await.remove(0);
        assert_eq!(letter["generation"], generation, "{letter}");
        assert_eq!(receiver.count(), generation + 1, "a replay makes one life, by itself none");
        let asked = json!({ "filter": { "ids": [letter["id"]] } });
        let answer = bus.post("/api/v1/replays", &asked).await;
        if generation < 3 {
            answer.expect(202);
            receiver.wait_for(generation + 2, SOON).await.expect("the replay was not delivered");
            eventually("the letter to be dead again", SOON, async || {
                let again = bus.list("/api/v1/dead-letters?state=dead_again").await;
                (again.len() == generation + 1).then_some(())
            })
            .await;
        } else {
            let detail = answer.expect(409).json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("force"), "{detail}");
            bus.post("/api/v1/replays", &json!({ "filter": { "ids": [letter["id"]] }, "force": true }))
                .await
                .expect(202);
            receiver.wait_for(5, SOON).await.expect("forced, it is replayed once more");
        }
    }
    let account = bus.settled(SOON).await;
    assert_eq!(
        (&account["deliveries"]["made"], &account["deliveries"]["dead"]),
        (&1.into(), &1.into()),
        "{account}"
    );
    let ids: std::collections::BTreeSet<_> = receiver
        .requests()
        .into_iter()
        .map(|request| request.header("webhook-id").map(str::to_owned))
        .collect();
    assert_eq!(ids.len(), 1, "every life has the same id: {ids:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_replay_goes_on_and_repeats_nothing_that_is_done() {
    const EVENTS: usize = 200;
    let _alone = heavy::load().await;
    let (bus, receiver) = bus("").await;
    for at in 0..EVENTS {
        bus.publish(&fixture::event(&format!("e{at}"), "suite.made", json!({}))).await.expect(202);
    }
    waiting(&bus, EVENTS).await;
    receiver.answer_always(Answer::ok());
    let asked = json!({ "filter": { "destination": "crm" }, "rate": "100/s" });
    let replay = bus.post("/api/v1/replays", &asked).await.expect(202).json();
    let id = replay["id"].as_str().unwrap();
    receiver.wait_for(EVENTS + 20, SOON).await.expect("the replay does not move");
    bus.kill().await;
    bus.restart().await;
    let done = eventually("the replay to end", SOON * 2, async || {
        let replay = bus.get(&format!("/api/v1/replays/{id}")).await.expect(200).json();
        (replay["progress"]["delivered"] == EVENTS).then_some(replay)
    })
    .await;
    assert_eq!(done["progress"]["dead_again"], 0, "{done}");
    let again = receiver.count() - 2 * EVENTS;
    println!("D6: {again} deliveries repeated by one kill");
    assert!(again <= 216, "{again} repeated: more than a batch of the replay and what was in flight");
    bus.post("/api/v1/replays", &asked).await.expect(409);
}
