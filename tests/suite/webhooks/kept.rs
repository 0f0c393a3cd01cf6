//! Every recorded webhook is accepted, and nothing that matters is lost on the way to a destination.

use std::collections::BTreeMap;

use serde_json::Value;
use trunkline_tests::recorded::{self, Recorded};

use super::facts::{Facts, said};
use super::{bus, source};
use crate::SOON;

/// The canonical type of a topic, for those that have one.
const CANONICAL: [(&str, &str); 23] = [
    ("orders/create", "commerce.order.created"),
    ("orders/updated", "commerce.order.updated"),
    ("orders/paid", "commerce.order.paid"),
    ("orders/partially_fulfilled", "commerce.order.partially_fulfilled"),
    ("orders/fulfilled", "commerce.order.fulfilled"),
    ("orders/cancelled", "commerce.order.cancelled"),
    ("orders/delete", "commerce.order.deleted"),
    ("customers/create", "commerce.customer.created"),
    ("customers/update", "commerce.customer.updated"),
    ("customers/enable", "commerce.customer.updated"),
    ("customers/disable", "commerce.customer.updated"),
    ("customers/delete", "commerce.customer.deleted"),
    // The recorded merge is one that failed.
    ("customers/merge", "commerce.customer.merge_failed"),
    ("products/create", "commerce.product.created"),
    ("products/update", "commerce.product.updated"),
    ("products/delete", "commerce.product.deleted"),
    ("refunds/create", "commerce.refund.created"),
    ("fulfillments/create", "commerce.fulfilment.created"),
    ("fulfillments/update", "commerce.fulfilment.updated"),
    ("customer.created", "commerce.customer.created"),
    ("customer.updated", "commerce.customer.updated"),
    ("customer.deleted", "commerce.customer.deleted"),
    ("charge.succeeded", "payment.charge.succeeded"),
];

fn event_id(recorded: &Recorded) -> String {
    let header = recorded.headers.iter().find(|(name, _)| name == "x-shopify-webhook-id");
    header.map_or_else(|| recorded.body["id"].as_str().unwrap().to_owned(), |(_, id)| id.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_webhook_arrives_with_what_it_says() {
    let recorded: Vec<Recorded> = [recorded::all("shopify"), recorded::all("stripe")].concat();
    if recorded.is_empty() {
        return;
    }
    let (bus, receiver) = bus().await;
    for request in &recorded {
        let ((name, secret), body) = (source(request.platform), request.bytes());
        let answer = bus.hook(name, &request.signed_headers(secret, &body), &body).await;
        assert!(answer.is_success(), "{}: {answer:?}", request.name);
        assert_eq!(answer.header("trunkline-duplicates"), None, "{}", request.name);
    }
    let received = receiver.wait_for(recorded.len(), SOON).await.expect("not all events were delivered");
    let events: BTreeMap<String, Value> = received
        .iter()
        .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap())
        .map(|event| (event["id"].as_str().unwrap().to_owned(), event))
        .collect();
    let mut canonical = 0;
    for request in &recorded {
        let event =
            events.get(&event_id(request)).unwrap_or_else(|| panic!("{} did not arrive", request.name));
        canonical += usize::from(check(request, event));
    }
    assert!(canonical >= 18, "only {canonical} recordings have a canonical message");
    let account = bus.settled(SOON).await;
    assert_eq!(account["events"]["accepted"], recorded.len(), "{account}");
    assert_eq!(bus.list("/api/v1/dead-letters").await.len(), 0);
}

/// Compares an event with its recording; whether it is canonical.
#[track_caller]
fn check(request: &Recorded, event: &Value) -> bool {
    let (name, _) = source(request.platform);
    assert_eq!(event["source"], name, "{}", request.name);
    let data = &event["data"];
    let canonical = CANONICAL.iter().find(|(topic, _)| *topic == request.topic);
    let Some((_, kind)) = canonical else {
        let kind = format!("{}.{}", request.platform, request.topic.replace('/', "."));
        assert_eq!(
            (event["type"].as_str().unwrap(), data),
            (kind.as_str(), &request.body),
            "{}",
            request.name
        );
        return false;
    };
    assert_eq!(event["type"], *kind, "{}", request.name);
    let facts = Facts::of(data);
    let said = match request.platform {
        // The envelope's own id and time are the event's.
        "stripe" => said(&request.body["data"]["object"]),
        _ => said(&request.body),
    };
    let lost: Vec<_> = said.iter().filter(|fact| !facts.hold(fact)).collect();
    assert!(lost.is_empty(), "{}: lost {lost:#?} in {data:#}", request.name);
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_and_its_refund_are_what_the_shop_said() {
    let recorded = recorded::all("shopify");
    let (bus, receiver) = if recorded.is_empty() { return } else { bus().await };
    let find = |topic: &str| recorded.iter().find(|request| request.topic == topic).unwrap();
    let mut events = Vec::new();
    for request in ["orders/create", "refunds/create"].map(find) {
        let ((name, secret), body) = (source("shopify"), request.bytes());
        bus.hook(name, &request.signed_headers(secret, &body), &body).await.expect(200);
        let received = receiver.wait_for(events.len() + 1, SOON).await.expect("nothing was delivered");
        events.push(serde_json::from_slice::<Value>(&received.last().unwrap().body).unwrap());
    }
    let [order, refund] = [&events[0]["data"], &events[1]["data"]];
    let money = |units: i64| serde_json::json!({ "currency": "USD", "minor_units": units });
    assert_eq!(order["id"], "820982911946154508", "the exact id, not the rounded one");
    assert_eq!((&order["total"], &order["subtotal"]), (&money(38_800), &money(38_800)));
    assert_eq!((&order["total_discount"], &order["total_shipping"]), (&money(2_000), &money(1_000)));
    assert_eq!((&order["currency"], &order["financial_status"]), (&"USD".into(), &"VOIDED".into()));
    let created = chrono::DateTime::parse_from_rfc3339(order["created_at"].as_str().unwrap()).unwrap();
    assert_eq!(created.to_utc().to_rfc3339(), "2022-01-01T00:00:00+00:00");
    assert_eq!(order["line_items"][0]["id"], "866550311766439020");
    assert_eq!(order["line_items"][0]["unit_price"], money(19_900));
    assert_eq!(events[0]["partitionkey"], "order:820982911946154508");
    assert_eq!(refund["id"], "890088186047892319");
    // The refund names its order by a number that the recorder rounded.
    assert_eq!(events[1]["partitionkey"], "order:820982911946154500");
    assert_eq!(refund["lines"][0]["subtotal"], money(19_900));
}
