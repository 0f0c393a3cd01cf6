//! `trunkline backup`: a copy made under load opens, balances, and has everything that was acknowledged before.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use trunkline_sdk::testing::{Answer, Receiver};
use trunkline_tests::load::{Load, Plan};
use trunkline_tests::{Instance, Ledger, RECOVERED, Setup, Tag, command, eventually, fixture};

/// An instance whose deliveries go to `url`.
fn setup(url: &str) -> Setup {
    let destination = fixture::http("all", url, "concurrency: 8");
    let subscription = fixture::subscription("everything", "{ source: [oracle, suite] }", "all");
    Setup::new(fixture::sections(&[destination], &[subscription]))
}

fn tags(receiver: &Receiver) -> BTreeSet<Tag> {
    let ids = receiver.requests();
    ids.iter().filter_map(|request| Tag::parse(request.header("ce-id")?)).collect()
}

/// Puts a copy where a new instance looks for its data, as docs/upgrading.md says.
pub(crate) fn restore(copy: &Path, data: &Path) {
    let copied =
        std::process::Command::new("cp").arg("-r").arg(copy.join("broker")).arg(data).status().unwrap();
    assert!(copied.success());
    std::fs::copy(copy.join("store.db"), data.join("store.db")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_under_load_has_all_that_was_acknowledged_before() {
    // The platform takes every other event: what is under way and what is dead must be in the copy, too.
    let receiver = Receiver::start().await.unwrap();
    receiver.answer_by(|request| {
        let seq = Tag::parse(request.header("ce-id").unwrap_or_default()).map_or(0, |tag| tag.seq);
        if seq % 7 == 3 { Answer::status(422) } else { Answer::ok() }
    });
    let bus = Instance::start(setup(&receiver.url("/all"))).await;
    let ledger = Arc::new(Ledger::create(&bus.folder().join("acked")));
    let plan = Plan { producers: 4, keys: 3, events: u32::MAX };
    let load = Load::start(&bus.gateway("/v1/events"), &ledger, plan);
    eventually("some deliveries", RECOVERED, async || (receiver.count() > 200).then_some(())).await;
    let before = ledger.all_acked();
    let copy = bus.folder().join("copy");
    let printed = bus.run(&["backup", copy.to_str().unwrap()]).await.expect(0);
    assert!(printed.out.contains("broker: ") && printed.out.contains("store.db"), "{}", printed.out);
    let again = bus.run(&["backup", copy.to_str().unwrap()]).await;
    assert!(again.code == Some(2) && again.err.contains("is there already"), "{}", again.err);
    load.stop().await;
    let delivered = tags(&receiver);
    assert!(bus.terminate(Duration::from_secs(30)).await.success());
    let other = Receiver::start().await.unwrap();
    let restored =
        Instance::prepared(setup(&other.url("/all")), |folder| restore(&copy, &folder.join("data"))).await;
    let account = eventually("everything in the copy to be delivered or dead", RECOVERED, async || {
        // What was accepted between the copies of the engine and of the store stands in the account alone.
        let account = restored.get("/api/v1/account").await.expect(200).json();
        let moving = account["events"]["waiting"] != 0 || account["deliveries"]["in_flight"] != 0;
        (!moving).then_some(account)
    })
    .await;
    let dead: BTreeSet<Tag> = restored
        .list("/api/v1/dead-letters?limit=500")
        .await
        .iter()
        .filter_map(|letter| Tag::parse(letter["event_id"].as_str()?))
        .collect();
    let known = &(&delivered | &tags(&other)) | &dead;
    let lost = before.difference(&known).count();
    println!("{} acknowledged before the copy, {lost} lost; {account}", before.len());
    assert!(before.len() > 50, "nothing was tried");
    assert_eq!(lost, 0);
    assert!(account["events"]["accepted"].as_u64().unwrap() >= before.len() as u64, "{account}");
    // It goes on as any other.
    restored.publish(&fixture::event("after", "suite.made", json!({}))).await.expect(202);
    eventually("a delivery by the copy", RECOVERED, async || {
        other.requests().iter().any(|request| request.header("ce-id") == Some("after")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_on_servers_is_not_copied_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1\nbroker: kafka://127.0.0.1:1\nstore: postgres://u:p@127.0.0.1:1/d\n";
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let printed = command::run(&["backup", "copy"], folder.path(), &[]).await.expect(2);
    assert!(printed.err.contains("their own tools"), "{}", printed.err);
    assert!(!folder.path().join("copy").exists() && !folder.path().join("copy.partial").exists());
}

#[tokio::test]
async fn a_copy_of_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version: 1\nbroker: embedded:./data\nstore: sqlite:./data/store.db\n";
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let printed = command::run(&["backup", "copy"], folder.path(), &[]).await;
    assert_ne!(printed.code, Some(0));
    assert!(printed.err.contains("data/records"), "{}", printed.err);
    assert!(!folder.path().join("copy").exists() && !folder.path().join("copy.partial").exists());
}
