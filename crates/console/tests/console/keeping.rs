//! What comes on `dead.*` and `journey` is in the store before it is settled.

use std::time::Duration;

use trunkline_console::keeper;
use trunkline_sdk::broker::{ChannelName, GroupName, Outgoing};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::{JourneyCounts, Step};
use trunkline_sdk::store::{Contained, DeadLetterFilter, Page};
use trunkline_sdk::testing::TestBus;
use trunkline_sdk::{Adapters, tokio};

use crate::made::{dead, delivery, journey};
use crate::world::{World, configuration, eventually, lag};

fn crm() -> ChannelName {
    ChannelName::dead(&DestinationName::parse("crm").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_and_journeys_are_stored_once_however_often_they_come() {
    let world = World::start().await;
    let letter = dead("1", "crm", 1);
    let counts = JourneyCounts { attempts: 3, ..JourneyCounts::default() };
    let record = journey("dispatcher", Step::Attempt, &[delivery("1", "crm")], counts);
    // Stored by a hand-over that failed late, and once more when it was tried again.
    world.tell(record.clone()).await;
    world.tell(record).await;
    let ids = world.buried(&[letter.clone(), dead("2", "erp", 2)]).await;
    assert_eq!(ids[0], letter.id());
    world.buried(&[letter.clone(), letter.clone(), dead("3", "crm", 3)]).await;
    let store = world.bus.store();
    assert_eq!(store.count_dead_letters(&DeadLetterFilter::default()).await.unwrap(), 3);
    assert_eq!(store.dead_letter(&letter.id()).await.unwrap().unwrap().dead_letter, letter);
    eventually("the journey is stored", async || {
        (store.account().await.unwrap().attempts == 3).then_some(())
    })
    .await;
    for channel in [crm(), ChannelName::journey()] {
        eventually("everything is settled", async || {
            (world.lag(&channel, &GroupName::console()).await == 0).then_some(())
        })
        .await;
    }
    let (_bus, ended) = world.stop().await;
    ended.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_dead_letter_is_kept_as_it_is_and_stops_nothing() {
    let world = World::start().await;
    let poison = Bytes::from_static(b"\xff\x00 no dead letter");
    let record = |channel, value| Outgoing::new(channel, Bytes::new(), value);
    let broken = vec![record(crm(), poison.clone()), record(ChannelName::journey(), poison.clone())];
    world.bus.broker().publish(broken).await.unwrap();
    world.buried(&[dead("1", "crm", 1)]).await;
    let filter = DeadLetterFilter { contained: Some(Contained::Malformed), ..DeadLetterFilter::default() };
    let store = world.bus.store();
    let found = store.list_dead_letters(&filter, &Page::first(10)).await.unwrap().items.remove(0);
    assert_eq!(found.channel, "crm");
    assert!(found.detail.starts_with("the record on dead.crm is no dead letter: "), "{}", found.detail);
    let kept = store.dead_letter(&found.id).await.unwrap().unwrap().dead_letter;
    assert_eq!(kept.contents, Contents::Malformed(poison));
    world
        .post("/api/v1/replays", &serde_json::json!({ "filter": { "ids": [found.id] } }))
        .await
        .refused(409, "it holds no event. It can only be discarded.");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_store_records_stay_on_the_broker() {
    let bus = TestBus::start(&configuration(""), trunkline_adapters::registry()).await.unwrap();
    let record = Outgoing::new(crm(), Bytes::new(), dead("1", "crm", 1).encode());
    bus.broker().publish(vec![record]).await.unwrap();
    bus.store().close().await;
    let host = bus.host();
    let stop = host.shutdown.clone();
    let keeping = keeper::run(host.broker.clone(), host.store.clone(), host.configuration, stop.clone());
    let keeping = tokio::spawn(keeping);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(lag(&*bus.broker(), &crm(), &GroupName::console()).await, 1, "it was settled, and is nowhere");
    assert!(!keeping.is_finished());
    stop.cancel();
    keeping.await.unwrap().unwrap();
    assert_eq!(lag(&*bus.broker(), &crm(), &GroupName::console()).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_destination_is_served_and_a_removed_ones_dead_letters_too() {
    let text = configuration("");
    let world = World::of(&text).await;
    world
        .bus
        .reconfigure(&text.replace("  erp: { external: true }", "  fresh: { external: true }"))
        .await
        .unwrap();
    let ids = world.buried(&[dead("1", "fresh", 1), dead("2", "erp", 2)]).await;
    let replay = |id: &str| serde_json::json!({ "filter": { "ids": [id] } });
    world.post("/api/v1/replays", &replay(&ids[0])).await.expect(202);
    world
        .post("/api/v1/replays", &replay(&ids[1]))
        .await
        .refused(409, "`erp` is not configured any more: nothing would take these deliveries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_nobody_can_change_any_more_stops_nothing() {
    let bus = TestBus::start(&configuration(""), Adapters::new()).await.unwrap();
    let host = bus.host();
    let (sender, receiver) = tokio::sync::watch::channel(host.configuration.borrow().clone());
    drop(sender);
    let keeping = keeper::run(host.broker.clone(), host.store.clone(), receiver, host.shutdown.clone());
    let keeping = tokio::spawn(keeping);
    let record = Outgoing::new(crm(), Bytes::new(), dead("1", "crm", 1).encode());
    bus.broker().publish(vec![record]).await.unwrap();
    eventually("it is stored", async || {
        let count = bus.store().count_dead_letters(&DeadLetterFilter::default()).await.unwrap();
        (count == 1).then_some(())
    })
    .await;
    host.shutdown.cancel();
    keeping.await.unwrap().unwrap();
}
