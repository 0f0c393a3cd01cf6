//! A configuration that changes under a running bus (D10 in its quick form).

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::load::{Load, Plan};
use trunkline_tests::{Instance, Ledger, Oracle, Setup, eventually, fixture};

use super::{QUICK, bus, publish};
use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_one_is_taken_over_and_a_bad_one_refused() {
    let (mut bus, receiver) = bus(QUICK).await;
    let other = Receiver::start().await.unwrap();
    publish(&bus, "before").await;
    receiver.wait_for(1, SOON).await.unwrap();
    let good = bus.log().len();
    bus.reconfigure(|setup| {
        let destinations = [
            fixture::http("crm", &receiver.url("/crm"), QUICK),
            fixture::http("erp", &other.url("/erp"), ""),
        ];
        let subscriptions = ["crm", "erp"]
            .map(|name| fixture::subscription(&format!("to-{name}"), "{ source: [suite] }", name));
        setup.sections = fixture::sections(&destinations, &subscriptions);
    });
    // Which set routed an event is in its journey; that the new one works shows at the new destination.
    let mut sent = 0;
    eventually("the new subscription to work", SOON, async || {
        sent += 1;
        publish(&bus, &format!("after-{sent}")).await;
        (other.count() > 0).then_some(())
    })
    .await;
    assert!(bus.log().len() > good);

    let before = bus.log().len();
    bus.reconfigure(|setup| setup.sections = setup.sections.replace("to: erp", "to: epr"));
    let refusal = eventually("the bad configuration to be refused", SOON, async || {
        let log = bus.log()[before..].to_owned();
        log.contains("trunkline.yaml:").then_some(log)
    })
    .await;
    assert!(refusal.contains("epr"), "{refusal}");
    let seen = other.count();
    publish(&bus, "after-the-bad-one").await;
    other.wait_for(seen + 1, SOON).await.expect("the old set does not work any more");
    // It is still refused by `check`, with the same place.
    let checked = bus.run(&["check"]).await.expect(1);
    assert!(format!("{}{}", checked.out, checked.err).contains("epr"));
    bus.settled(SOON).await;
}

/// Every event is routed by exactly one set, whole: both of its subscriptions say the same generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_falls_between_two_sets() {
    const SETS: u32 = 6;
    let receiver = Receiver::start().await.unwrap();
    let sections = |set: u32| {
        let destinations =
            [fixture::http("a", &receiver.url("/a"), ""), fixture::http("b", &receiver.url("/b"), "")];
        let subscriptions = ["a", "b"].map(|name| {
            let transform = format!("{{ \"id\": .id, \"set\": {set} }}");
            format!("  to-{name}:\n    match: {{ source: [oracle] }}\n    transform: '{transform}'\n    to: {name}\n")
        });
        fixture::sections(&destinations, &subscriptions)
    };
    let mut bus = Instance::start(Setup::new(sections(0))).await;
    let ledger = Arc::new(Ledger::create(&bus.folder().join("acked")));
    let load =
        Load::start(&bus.gateway("/v1/events"), &ledger, Plan { producers: 2, keys: 1, events: u32::MAX });
    for set in 1..SETS {
        bus.reconfigure(|setup| setup.sections = sections(set));
        let wanted = format!("\"set\":{set}");
        eventually(format!("set {set} to work"), SOON, async || {
            let last = receiver.requests().pop()?;
            String::from_utf8_lossy(&last.body).contains(&wanted).then_some(())
        })
        .await;
    }
    load.stop().await;
    bus.settled(Duration::from_secs(60)).await;
    let requests = receiver.requests();
    let mut sets = std::collections::BTreeMap::<String, Vec<(String, u64)>>::new();
    for request in &requests {
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let entry = sets.entry(body["id"].as_str().unwrap().to_owned()).or_default();
        entry.push((request.target.clone(), body["set"].as_u64().unwrap()));
    }
    for (id, mut routed) in sets.clone() {
        routed.sort();
        let [(a, first), (b, second)] = &routed[..] else { panic!("{id} was routed {routed:?}") };
        assert_eq!((a.as_str(), b.as_str(), first), ("/a", "/b", second), "{id} was routed by two sets");
    }
    assert_eq!(sets.len(), ledger.all_acked().len(), "an event was lost between two sets");
    // The two destinations' receipts, each judged by itself.
    for path in ["/a", "/b"] {
        let mut oracle = Oracle { sent: ledger.all_sent(), acked: ledger.all_acked(), ..Oracle::default() };
        oracle.received = requests
            .iter()
            .filter(|request| request.target == path)
            .map(|request| {
                let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
                trunkline_tests::Tag::parse(body["id"].as_str().unwrap()).unwrap()
            })
            .collect();
        oracle.judge().expect(&format!("reload, {path}"), 0);
    }
}

/// What a reload can't change is said, and the rest is taken over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_that_needs_a_restart_is_named() {
    let (mut bus, _receiver) = bus(QUICK).await;
    bus.reconfigure(|setup| setup.gateway.push_str("max_body: 64KiB"));
    eventually("the log to name the section", SOON, async || {
        let log = bus.log();
        log.lines().any(|line| line.contains("gateway") && line.contains("restart")).then_some(())
    })
    .await;
    let long = fixture::event("long", "suite.made", json!("x".repeat(100_000)));
    bus.publish(&long).await.expect(202);
}
