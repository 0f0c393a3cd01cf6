//! X7: a subscription made to take all time and memory takes its own share only.

use std::time::{Duration, Instant};

use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture};

use super::spent::spent;
use crate::SOON;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_is_stopped_and_the_others_go_on() {
    let (well, bombed) = (Receiver::start().await.unwrap(), Receiver::start().await.unwrap());
    let destinations =
        [fixture::http("well", &well.url("/"), ""), fixture::http("bombed", &bombed.url("/"), "")];
    let doubling =
        "s = \"aaaaaaaaaaaaaaaa\"\n      for_each(array!(.data.list)) -> |_i, _v| { s = s + s }\n      s";
    let looping = "n = 0\n      for_each(array!(.data.list)) -> |_i, _v| {\n        for_each(array!(.data.list)) -> |_j, _w| { n = n + 1 }\n      }\n      n";
    let bomb = |name: &str, program: &str| {
        format!(
            "  {name}:\n    match: {{ source: [suite] }}\n    transform: |\n      {program}\n    to: bombed\n"
        )
    };
    let subscriptions = [
        bomb("doubling", doubling),
        bomb("looping", looping),
        fixture::subscription("well", "{ source: [suite] }", "well"),
    ];
    let bus = Instance::start(Setup::new(fixture::sections(&destinations, &subscriptions))).await;
    let before = bus.resident();
    let list: Vec<u32> = vec![0; 30_000];
    let worked = spent(&bus);
    for at in 0..10 {
        bus.publish(&fixture::event(&format!("e{at}"), "suite.made", json!({ "list": list })))
            .await
            .expect(202);
    }
    well.wait_for(10, SOON).await.expect("a bomb keeps the others waiting");
    // Each bomb at most its 50 ms, and what a gateway and a dispatcher do for a large event.
    let worked = (spent(&bus) - worked) / 20;
    println!("X7: {worked:?} of processor time for a bomb");
    assert!(worked <= Duration::from_millis(50), "{worked:?}");
    let dead = crate::delivery::dead_letters(&bus, 20).await;
    assert!(dead.iter().all(|letter| letter["reason"] == "transform_failed"), "{dead:#?}");
    assert_eq!(bombed.count(), 0);
    let grown = bus.resident().saturating_sub(before);
    assert!(grown < 200 << 20, "{} KiB more", grown >> 10);
    bus.settled(SOON).await;
}

/// Bombs that can be seen before they run are refused, with their place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_in_a_pattern_is_refused_when_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let wildcard = format!("{{ id: [{{ wildcard: '{}' }}] }}", "a*".repeat(1000));
    let program = format!("{}true{}", "(".repeat(15_000), ")".repeat(15_000));
    let text = format!(
        "version: 1\ndestinations: {{ d: {{ external: true }} }}\nsubscriptions:\n  a: {{ match: {wildcard}, to: d }}\n  b: {{ match: {{}}, when: '{program}', to: d }}\n"
    );
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let began = Instant::now();
    let arguments = ["check", "--json", "-c", "trunkline.yaml"];
    let printed = trunkline_tests::command::run(&arguments, folder.path(), &[]).await.expect(1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for line in [4, 5] {
        let found = printed.lines().into_iter().any(|found| found["line"] == line);
        assert!(found, "nothing is said of line {line}: {}", printed.out);
    }
}
