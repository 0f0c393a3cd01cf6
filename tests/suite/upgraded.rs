//! What version 1 left on disk goes on with the version of today: its copy, as `trunkline backup` made it, opens, and what waits in
//! it is delivered, what is dead in it is replayed, and the account balances.
//!
//! `tests/golden/copy.v1` is written once, by `TRUNKLINE_GOLDEN=write`, and never changed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::{Instance, RECOVERED, Setup, eventually, fixture, workspace};

use crate::backed_up::restore;

const DELIVERED: [&str; 2] = ["delivered-1", "delivered-2"];
const WAITING: [&str; 2] = ["waiting-1", "waiting-2"];
const DEAD: [&str; 2] = ["dead-1", "dead-2"];

/// One destination, whose retries are still to come when the copy is made.
fn setup(url: &str) -> Setup {
    let retries = "retry: { max_attempts: 5, first: 3s, max: 3s }";
    let destination = fixture::http("all", url, retries);
    let subscription = fixture::subscription("everything", "{ source: [suite] }", "all");
    Setup::new(fixture::sections(&[destination], &[subscription]))
}

fn ids(receiver: &Receiver) -> BTreeSet<String> {
    receiver.requests().iter().map(|request| request.header("ce-id").unwrap().to_owned()).collect()
}

fn set(groups: &[[&str; 2]]) -> BTreeSet<String> {
    groups.iter().flatten().map(|id| (*id).to_owned()).collect()
}

/// The copy; made first where that is asked for and there is none.
async fn golden() -> PathBuf {
    let copy = workspace::root().join("tests/golden/copy.v1");
    if copy.exists() || std::env::var("TRUNKLINE_GOLDEN").as_deref() != Ok("write") {
        return copy;
    }
    let receiver = Receiver::start().await.unwrap();
    receiver.answer_by(|request| match request.header("ce-id").unwrap_or_default().split('-').next() {
        Some("waiting") => Answer::status(503),
        Some("dead") => Answer::status(422),
        _ => Answer::ok(),
    });
    let bus = Instance::start(setup(&receiver.url("/all"))).await;
    for id in [DELIVERED, WAITING, DEAD].as_flattened() {
        bus.publish(&fixture::event(id, "suite.made", json!({ "id": id }))).await.expect(202);
    }
    eventually("deliveries, failures and dead letters", RECOVERED, async || {
        let dead = bus.list("/api/v1/dead-letters").await.len();
        (receiver.count() >= 6 && dead == DEAD.len()).then_some(())
    })
    .await;
    bus.run(&["backup", copy.to_str().unwrap()]).await.expect(0);
    copy
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_version_1_goes_on() {
    let copy = golden().await;
    assert!(copy.exists(), "{}: was it deleted?", copy.display());
    let receiver = Receiver::start().await.unwrap();
    let bus =
        Instance::prepared(setup(&receiver.url("/all")), |folder| restore(&copy, &folder.join("data"))).await;
    eventually("what waited to be delivered", RECOVERED, async || {
        ids(&receiver).is_superset(&set(&[WAITING])).then_some(())
    })
    .await;
    let dead: BTreeSet<String> = bus
        .list("/api/v1/dead-letters")
        .await
        .iter()
        .map(|letter| letter["event_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(dead, set(&[DEAD]));
    bus.run(&["dlq", "replay", "--destination", "all"]).await.expect(0);
    eventually("the replayed to be delivered", RECOVERED, async || {
        ids(&receiver).is_superset(&set(&[WAITING, DEAD])).then_some(())
    })
    .await;
    let account = bus.settled(RECOVERED).await;
    assert_eq!(account["events"]["accepted"], 6, "{account}");
    assert_eq!(account["deliveries"]["delivered"], 6, "{account}");
    // What it had seen, it still knows.
    let again = fixture::event(DELIVERED[0], "suite.made", json!({ "id": DELIVERED[0] }));
    bus.publish(&again).await.expect(202);
    let account = bus.settled(RECOVERED).await;
    assert_eq!(account["events"]["accepted"], 6, "a re-send was taken for a new event: {account}");
}
