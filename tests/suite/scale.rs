//! Many subscriptions at once.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;
use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture, heavy};

use crate::SOON;

const SUBSCRIPTIONS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_subscriptions_that_share_a_prefix_are_told_apart() {
    let _alone = heavy::load().await;
    let receiver = Receiver::start().await.unwrap();
    let mut sections =
        format!("destinations:\n{}subscriptions:\n", fixture::http("crm", &receiver.url("/crm"), ""));
    for at in 0..SUBSCRIPTIONS {
        let pattern = format!("{{ type: [{{ prefix: 'order.' }}], data: {{ shop: [{at}] }} }}");
        writeln!(
            sections,
            "  s{at}: {{ match: {pattern}, transform: '{{ \"subscription\": {at}, \"id\": .id }}', to: crm }}"
        )
        .unwrap();
    }
    let began = Instant::now();
    let bus = Instance::start(Setup::new(sections)).await;
    println!("ready in {:?} with {SUBSCRIPTIONS} subscriptions", began.elapsed());
    let began = Instant::now();
    bus.run(&["check"]).await.expect(0);
    assert!(began.elapsed() < Duration::from_secs(10), "check took {:?}", began.elapsed());
    let shops = [0, 1, 17, 4_999, 9_998, 9_999];
    for shop in shops {
        let event = fixture::event(&format!("e{shop}"), "order.paid", json!({ "shop": shop }));
        bus.publish(&event).await.expect(202);
    }
    bus.publish(&fixture::event("other-type", "invoice.paid", json!({ "shop": 1 }))).await.expect(202);
    bus.publish(&fixture::event("other-shop", "order.paid", json!({ "shop": SUBSCRIPTIONS })))
        .await
        .expect(202);
    let account = bus.settled(SOON).await;
    assert_eq!(
        (&account["events"]["routed"], &account["events"]["filtered"]),
        (&6.into(), &2.into()),
        "{account}"
    );
    let mut routed: Vec<(u64, String)> = receiver
        .requests()
        .iter()
        .map(|request| serde_json::from_slice::<serde_json::Value>(&request.body).unwrap())
        .map(|body| (body["subscription"].as_u64().unwrap(), body["id"].as_str().unwrap().to_owned()))
        .collect();
    routed.sort();
    let expected: Vec<(u64, String)> = shops.iter().map(|&shop| (shop, format!("e{shop}"))).collect();
    assert_eq!(routed, expected);
}
