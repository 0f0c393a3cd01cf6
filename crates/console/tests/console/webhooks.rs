//! Webhooks that did not normalize, and dead letters on a channel where they don't belong.

use serde_json::json;
use trunkline_sdk::Event;
use trunkline_sdk::broker::{ChannelName, GroupName, Outgoing};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::{serde_json, tokio};

use crate::SOON;
use crate::made::{dead, webhook};
use crate::world::{World, eventually, ids};

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_normalized_again_into_events() {
    let world = World::start().await;
    let whole = webhook(r#"{"id": "hook-1"}"#);
    let broken = webhook("{");
    let buried = world.buried(&[whole, broken]).await;
    let replay = world.replayed(&json!({ "filter": { "destination": "gateway" } })).await;
    assert_eq!((&replay["progress"]["sent"], &replay["progress"]["skipped"]), (&json!(1), &json!(1)));
    assert_eq!(world.state_of(&buried[0]).await, "delivered");
    assert_eq!(world.state_of(&buried[1]).await, "waiting");
    let events = world.bus.drain(&ChannelName::events(), &GroupName::router(), 1, SOON).await.unwrap();
    let event = Event::decode(events[0].clone()).unwrap();
    assert_eq!((event.source(), event.id(), event.kind()), ("hooks", "hook-1", "made"));
    let explained = eventually("the journey begins", async || {
        let explained = world.get("/api/v1/explain?id=hook-1").await;
        explained.status.is_success().then_some(explained.body)
    })
    .await;
    assert_eq!(explained["steps"][0]["step"], "accepted");
    assert_eq!(explained["steps"][0]["replay"], replay["id"]);
    let shown = world.read(&format!("/api/v1/dead-letters/{}", buried[1])).await;
    assert!(shown["history"][1]["detail"].as_str().unwrap().starts_with("body: "), "{shown}");
}

/// Whoever can write to the broker could put anything on a `dead.*` channel.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_reaches_no_other_destination_whatever_its_channel_holds() {
    let world = World::start().await;
    let channel = ChannelName::dead(&DestinationName::parse("crm").unwrap());
    let smuggled = [dead("1", "erp", 1), webhook(r#"{"id": "hook-2"}"#)];
    let records = smuggled.iter().map(|letter| Outgoing::new(channel.clone(), Bytes::new(), letter.encode()));
    world.bus.broker().publish(records.collect()).await.unwrap();
    for letter in &smuggled {
        let path = format!("/api/v1/dead-letters/{}", letter.id());
        let shown = eventually("it is stored", async || {
            let answer = world.get(&path).await;
            answer.status.is_success().then_some(answer.body)
        })
        .await;
        assert!(shown["would_send"]["error"].is_string(), "{shown}");
        let replay = world.replayed(&json!({ "filter": ids(&[&letter.id()]), "force": true })).await;
        assert_eq!((&replay["progress"]["sent"], &replay["progress"]["skipped"]), (&json!(0), &json!(1)));
    }
    assert!(world.sent("erp").await.is_empty() && world.sent("crm").await.is_empty());
    assert_eq!(world.lag(&ChannelName::events(), &GroupName::router()).await, 0);
}
