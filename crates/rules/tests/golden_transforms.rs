//! Transforms with the bodies they must go on making: a new version of VRL that makes others breaks subscriptions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use chrono::{TimeZone, Utc};
use trunkline_core::config::{Node, NodeValue, parse};
use trunkline_core::{DestinationName, Event, TypeCatalogue};
use trunkline_proto::commerce::v1::{CustomerSummary, LineItem, Order};
use trunkline_proto::types::v1::Money;
use trunkline_rules::RuleSet;

const GOLDEN: &str = include_str!("golden/transforms.yaml");

fn order() -> Event {
    let money = |minor_units| Some(Money { currency: "EUR".to_owned(), minor_units });
    let line = |sku: &str, quantity, amount| LineItem {
        sku: Some(sku.to_owned()),
        quantity,
        unit_price: money(amount),
        ..LineItem::default()
    };
    let order = Order {
        id: "450789469".to_owned(),
        name: Some("#1001".to_owned()),
        customer: Some(CustomerSummary {
            email: Some("Ann@Example.com".to_owned()),
            ..CustomerSummary::default()
        }),
        currency: Some("EUR".to_owned()),
        total: money(9_007_199_254_740_993),
        line_items: vec![line("A-1", 2, 1250), line("B-2", 1, 999)],
        ..Order::default()
    };
    Event::builder("evt-1", "shop", "commerce.order.created")
        .time(Utc.with_ymd_and_hms(2026, 3, 1, 12, 30, 0).unwrap())
        .subject("orders/450789469")
        .proto(&order)
        .build()
        .unwrap()
}

fn checkout() -> Event {
    let data = r#"{"token":"t-1","lines":[{"sku":"A","qty":2,"price":12.5},{"sku":"B","qty":1,"price":0.1}],
        "tags":"vip, new ,vip","buyer":{"first":"Ada","last":"Lovelace","note":null},"big":9223372036854775807}"#;
    Event::builder("evt-2", "shop", "shopify.checkouts.create").json(data).build().unwrap()
}

fn text(node: &Node, name: &str) -> String {
    node.get(name).and_then(Node::as_text).unwrap_or_default().to_owned()
}

#[test]
fn bodies_are_as_they_were() {
    let golden = parse("golden/transforms.yaml", GOLDEN).unwrap();
    let NodeValue::Map(entries) = &golden.value else { panic!("a map") };
    for (key, case) in entries {
        let subscription = case.get("subscription").unwrap();
        let section =
            Node { value: NodeValue::Map(vec![(key.clone(), subscription.clone())]), ..golden.clone() };
        let destinations = [DestinationName::parse("crm").unwrap()];
        let (set, said) =
            RuleSet::compile(Some(&section), &destinations, Arc::new(TypeCatalogue::canonical()));
        let set = set.unwrap_or_else(|| panic!("{}: {:#?}", key.name, said.into_sorted()));
        let event = if text(case, "event") == "order" { order() } else { checkout() };
        let routing = set.route(&event);
        assert_eq!(routing.failed, [], "{}", key.name);
        let body = routing.matched.first().and_then(|routed| routed.body.as_ref());
        let made = body.map(|body| String::from_utf8_lossy(&body.bytes).into_owned());
        match text(case, "body").trim_end() {
            "no match" => assert_eq!(made, None, "{}", key.name),
            expected => assert_eq!(made.as_deref(), Some(expected), "{}", key.name),
        }
    }
}
