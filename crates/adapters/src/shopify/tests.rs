//! Bodies made here, with everything they become.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use prost::Message;
use serde_json::{Value as Json, json};
use trunkline_sdk::core::event::Data;
use trunkline_sdk::proto::commerce::v1 as commerce;
use trunkline_sdk::proto::types::v1::Money;

use super::*;
use crate::testing::{context, request};

async fn source(currency: Option<&str>) -> Shopify {
    let settings = json!({ "secret": "${env:UNUSED}", "currency": currency });
    Shopify::connect(serde_json::from_value(settings).unwrap(), &context()).await.unwrap()
}

async fn normalize(topic: &str, body: &Json) -> Result<Event, NormalizeError> {
    let headers = [
        ("x-shopify-topic", topic),
        ("x-shopify-webhook-id", "w1"),
        ("x-shopify-shop-domain", "a.myshopify.com"),
    ];
    let [event] =
        source(Some("EUR")).await.normalize(&request(&headers, body.to_string()))?.events.try_into().unwrap();
    Ok(event)
}

async fn message<M: Message + prost::Name + Default>(topic: &str, kind: &str, key: &str, body: &Json) -> M {
    let event = normalize(topic, body).await.unwrap();
    assert_eq!((event.id(), event.source(), event.kind()), ("w1", "shop", kind));
    assert_eq!(event.text_attribute("partitionkey"), Some(key));
    assert_eq!(event.text_attribute("shopdomain"), Some("a.myshopify.com"));
    let Data::Proto { type_url, value } = event.data() else { panic!("{event:?}") };
    assert_eq!(type_url.as_str(), M::type_url());
    M::decode(value.clone()).unwrap()
}

fn money(currency: &str, minor_units: i64) -> Option<Money> {
    Some(Money { currency: currency.to_owned(), minor_units })
}

fn set(shop: (&str, &str), presentment: (&str, &str)) -> Json {
    let side = |(amount, code): (&str, &str)| json!({ "amount": amount, "currency_code": code });
    json!({ "shop_money": side(shop), "presentment_money": side(presentment) })
}

/// An order placed in yen at a shop that keeps its books in Kuwaiti dinars: three decimals and none.
fn order() -> Json {
    let mut order = json!({
        "id": 9_100_000_000_000_000_000_u64,
        "admin_graphql_api_id": "gid://shopify/Order/9100000000000000001",
        "order_number": 1001, "name": "#1001", "currency": "KWD", "presentment_currency": "JPY",
        "email": "a@b.example", "contact_email": "a@b.example", "test": false,
        "created_at": "2026-03-29T01:30:00+01:00", "updated_at": "2026-03-29T03:30:00.250+02:00",
        "cancelled_at": null, "closed_at": null,
        "financial_status": "partially_refunded", "fulfillment_status": null,
        "total_price": "10.125", "total_price_set": set(("10.125", "KWD"), ("4950", "JPY")),
        "subtotal_price": "9.000", "total_tax": "0.125", "total_discounts": "1.5",
        "total_shipping_price_set": set(("1.000", "KWD"), ("489", "JPY")),
        "total_outstanding": "-0.005", "taxes_included": false,
        "tags": "vip, , gift ", "note_attributes": [{ "name": "gift", "value": "yes" }],
        "buyer_accepts_marketing": true, "source_name": "web", "payment_gateway_names": ["bogus"],
        "customer": { "id": 5, "email": "c@d.example", "tags": "x", "verified_email": true },
        "shipping_address": { "address1": "1 Street", "zip": "13001", "country_code": "KW", "latitude": 29.37590000 },
        "discount_codes": [{ "code": "TEN", "amount": "1.000", "type": "percentage" }],
        "discount_applications": [
            { "type": "discount_code", "code": "TEN", "value": "10.0", "value_type": "percentage" },
            { "type": "manual", "title": "Sorry", "value": "0.5", "value_type": "fixed_amount" },
        ],
        "tax_lines": [{ "title": "VAT", "rate": 0.0125, "price": "0.125" }],
        "checkout_token": "abc",
    });
    order["line_items"] = json!([{
        "id": 11, "product_id": 21, "variant_id": 31, "quantity": 3, "price": "3.500", "total_discount": "0.000",
        "discount_allocations": [{ "amount": "1.000" }, { "amount": "0.500" }], "grams": 250, "title": "Cup",
        "name": "Cup", "sku": "CUP", "fulfillment_status": "partial", "properties": [{ "name": "text", "value": "hi" }],
        "tax_lines": [{ "title": "VAT", "rate": 0.0125, "price": "0.125" }],
    }]);
    order["shipping_lines"] =
        json!([{ "id": 41, "title": "Post", "price": "1.000", "discounted_price": "1.000" }]);
    order["refunds"] = json!([{
        "id": 51, "order_id": 9_100_000_000_000_000_001_u64,
        "transactions": [{ "id": 1, "kind": "refund", "status": "success", "amount": "2.005", "currency": "KWD" }],
    }]);
    order["fulfillments"] =
        json!([{ "id": 61, "status": "success", "line_items": [{ "id": 11, "quantity": 1 }] }]);
    order
}

#[tokio::test]
async fn an_order_keeps_every_amount_id_and_time() {
    let order: commerce::Order =
        message("orders/paid", "commerce.order.paid", "order:9100000000000000001", &order()).await;
    assert_eq!((order.id.as_str(), order.number.as_deref()), ("9100000000000000001", Some("1001")));
    assert_eq!(order.platform_ids[1].id, "gid://shopify/Order/9100000000000000001");
    assert_eq!(order.created_at.unwrap(), prost_types::Timestamp { seconds: 1_774_744_200, nanos: 0 });
    assert_eq!(
        order.updated_at.unwrap(),
        prost_types::Timestamp { seconds: 1_774_747_800, nanos: 250_000_000 }
    );
    assert_eq!((&order.total, &order.presentment_total), (&money("KWD", 10_125), &money("JPY", 4950)));
    assert_eq!((&order.subtotal, &order.total_tax), (&money("KWD", 9000), &money("KWD", 125)));
    assert_eq!((&order.total_discount, &order.total_shipping), (&money("KWD", 1500), &money("KWD", 1000)));
    assert_eq!(order.total_outstanding, money("KWD", -5));
    assert_eq!(order.status(), commerce::OrderStatus::Open);
    assert_eq!(order.financial_status(), commerce::FinancialStatus::PartiallyRefunded);
    assert_eq!(order.fulfilment_status(), commerce::FulfilmentStatus::Unfulfilled);
    assert_eq!((order.tags.join("|"), order.test), ("vip|gift".to_owned(), Some(false)));
    assert_eq!(order.metadata["gift"], "yes");
    assert_eq!(order.customer.as_ref().unwrap().id.as_deref(), Some("5"));
    let line = &order.line_items[0];
    assert_eq!((&line.unit_price, &line.total_discount), (&money("KWD", 3500), &money("KWD", 1500)));
    assert_eq!((&line.total, &line.total_tax), (&money("KWD", 9000), &money("KWD", 125)));
    assert_eq!((line.weight_grams, line.tax_lines[0].rate.as_deref()), (Some(250), Some("0.0125")));
    assert_eq!(line.fulfilment_status(), commerce::FulfilmentStatus::PartiallyFulfilled);
    let [code, manual] = order.discounts.as_slice() else { panic!("{:?}", order.discounts) };
    assert_eq!(
        (code.code.as_deref(), code.value.as_deref(), &code.amount),
        (Some("TEN"), Some("10.0"), &money("KWD", 1000))
    );
    assert_eq!(
        (manual.title.as_deref(), manual.kind()),
        (Some("Sorry"), commerce::DiscountKind::FixedAmount)
    );
    assert_eq!(
        (&order.refunds[0].amount, order.refunds[0].status()),
        (&money("KWD", 2005), commerce::RefundStatus::Succeeded)
    );
    assert_eq!(order.fulfilments[0].state(), commerce::FulfilmentState::Succeeded);
    let rest = order.platform_fields.unwrap();
    assert_eq!(rest.fields_json["checkout_token"], "\"abc\"");
    assert_eq!(rest.fields_json["customer.verified_email"], "true");
    assert!(rest.fields_json["shipping_address.latitude"].starts_with("29.3759"));
    assert!(!rest.fields_json.contains_key("contact_email") && !rest.fields_json.contains_key("closed_at"));
}

#[tokio::test]
async fn every_canonical_topic_has_its_type_and_key() {
    let plain = json!({ "id": 7, "order_id": 8 });
    for (topic, _, kind) in TOPICS.iter().filter(|(topic, _, _)| *topic != "customers/merge") {
        let event = normalize(topic, &plain).await.unwrap();
        let key = match topic.split('/').next().unwrap() {
            "orders" => "order:7",
            "customers" => "customer:7",
            "products" => "product:7",
            _ => "order:8",
        };
        assert_eq!((event.kind(), event.text_attribute("partitionkey")), (*kind, Some(key)), "{topic}");
        assert!(trunkline_sdk::core::types::canonical_message(kind).is_some());
    }
}

#[tokio::test]
async fn customers_products_refunds_and_fulfilments() {
    let body = json!({
        "id": 1, "state": "invited", "total_spent": "12.50", "currency": "EUR", "orders_count": 2,
        "email_marketing_consent": { "state": "subscribed", "consent_updated_at": "2026-01-01T00:00:00Z" },
        "default_address": { "id": 3, "country": "Austria", "country_name": "Austria" },
    });
    let customer: commerce::Customer =
        message("customers/update", "commerce.customer.updated", "customer:1", &body).await;
    assert_eq!(
        (customer.status(), customer.total_spent),
        (commerce::CustomerStatus::Invited, money("EUR", 1250))
    );
    assert_eq!(customer.email_marketing.unwrap().state(), commerce::ConsentState::Subscribed);
    assert_eq!((customer.order_count, customer.platform_fields), (Some(2), None));

    let body = json!({
        "id": 2, "status": "draft", "options": [{ "name": "Size", "values": ["S", "M"] }],
        "variants": [{ "id": 4, "price": "19.90", "option1": "S", "inventory_policy": "continue", "inventory_quantity": -1 }],
        "images": [{ "id": 5, "src": "https://cdn.example/x.png", "variant_ids": [4] }],
    });
    let product: commerce::Product =
        message("products/create", "commerce.product.created", "product:2", &body).await;
    let variant = &product.variants[0];
    assert_eq!((&variant.price, variant.inventory_quantity), (&money("EUR", 1990), Some(-1)));
    assert_eq!((variant.options["Size"].as_str(), variant.sell_when_out_of_stock), ("S", Some(true)));
    assert_eq!(
        (product.status(), product.images[0].variant_ids.join(",")),
        (commerce::ProductStatus::Draft, "4".to_owned())
    );

    let body = json!({
        "id": 3, "order_id": 8, "note": "broken",
        "transactions": [
            { "kind": "refund", "status": "success", "amount": "1000", "currency": "JPY" },
            { "kind": "refund", "status": "success", "amount": "250", "currency": "JPY" },
            { "kind": "void", "status": "success", "amount": "9", "currency": "JPY" },
        ],
        "refund_line_items": [{
            "id": 6, "line_item_id": 10, "quantity": 2, "subtotal": 1250, "subtotal_set": set(("1250", "JPY"), ("8.10", "USD")),
            "restock_type": "return", "line_item": { "id": 10, "admin_graphql_api_id": "gid://shopify/LineItem/11", "sku": "CUP" },
        }],
    });
    let refund: commerce::Refund =
        message("refunds/create", "commerce.refund.created", "order:8", &body).await;
    assert_eq!(
        (refund.amount.clone(), refund.status()),
        (money("JPY", 1250), commerce::RefundStatus::Succeeded)
    );
    assert_eq!(
        (refund.lines[0].line_item_id.as_deref(), &refund.lines[0].subtotal),
        (Some("11"), &money("JPY", 1250))
    );
    assert_eq!(refund.lines[0].restock(), commerce::Restock::Returned);
    assert!(
        refund
            .platform_fields
            .unwrap()
            .fields_json
            .contains_key("refund_line_items.0.subtotal_set.presentment_money")
    );

    let body = json!({
        "id": 4, "order_id": 8, "status": "success", "shipment_status": "in_transit", "tracking_company": "UPS",
        "tracking_number": "1Z", "tracking_numbers": ["1Z", "2Z"], "tracking_urls": ["https://t.example/1Z"],
    });
    let sent: commerce::Fulfilment =
        message("fulfillments/update", "commerce.fulfilment.updated", "order:8", &body).await;
    assert_eq!(
        (sent.state(), sent.shipment_status()),
        (commerce::FulfilmentState::Succeeded, commerce::ShipmentStatus::InTransit)
    );
    assert_eq!(
        (sent.tracking.len(), sent.tracking[1].number.as_deref(), &sent.tracking[1].url),
        (2, Some("2Z"), &None)
    );
}

#[tokio::test]
async fn a_merge_says_what_became_of_it() {
    let body = |status: &str| {
        json!({
            "admin_graphql_api_customer_kept_id": "gid://shopify/Customer/1",
            "admin_graphql_api_customer_deleted_id": "gid://shopify/Customer/2",
            "status": status, "errors": [],
        })
    };
    let done: commerce::Customer =
        message("customers/merge", "commerce.customer.merged", "customer:1", &body("completed")).await;
    assert_eq!((done.id.as_str(), done.merged_ids), ("1", vec!["2".to_owned()]));
    let failed: commerce::Customer =
        message("customers/merge", "commerce.customer.merge_failed", "customer:1", &body("failed")).await;
    assert_eq!(failed.merged_ids.len(), 0);
    assert_eq!(
        normalize("customers/merge", &body("in_progress")).await.unwrap().kind(),
        "shopify.customers.merge"
    );
}

#[tokio::test]
async fn what_would_lose_something_does_not_normalize() {
    let error = |body: Json| async move { normalize("orders/create", &body).await.unwrap_err() };
    assert_eq!(
        error(json!({ "id": 1, "currency": "JPY", "total_price": "10.5" })).await.field,
        "body.total_price"
    );
    assert_eq!(
        error(json!({ "id": 1, "currency": "EUR", "total_price": "0.001" })).await.field,
        "body.total_price"
    );
    assert_eq!(error(json!({ "id": 1, "currency": "EURO" })).await.field, "body.currency");
    assert_eq!(error(json!({ "id": 1, "created_at": "yesterday" })).await.field, "body.created_at");
    assert_eq!(error(json!({ "id": 1.5 })).await.field, "body.id");
    assert_eq!(error(json!({ "name": "#1" })).await.field, "body.id");
    assert_eq!(error(json!([1])).await.field, "body");
    let line =
        json!({ "id": 1, "currency": "EUR", "line_items": [{ "id": 2, "price": "1e9", "quantity": 1 }] });
    assert_eq!(error(line).await.field, "body.line_items.0.price");
    let no_topic = source(None).await.normalize(&request(&[], "{}")).unwrap_err();
    assert_eq!(no_topic.field, "header x-shopify-topic");
}

#[tokio::test]
async fn what_is_not_understood_stays_under_its_own_name() {
    let body = json!({ "id": 1, "financial_status": "bartered", "tags": ["a"], "line_items": "none", "customer": 5 });
    let order: commerce::Order = message("orders/create", "commerce.order.created", "order:1", &body).await;
    assert_eq!(order.financial_status(), commerce::FinancialStatus::Unspecified);
    let rest = order.platform_fields.unwrap().fields_json;
    for (name, text) in [
        ("financial_status", "\"bartered\""),
        ("tags", "[\"a\"]"),
        ("line_items", "\"none\""),
        ("customer", "5"),
    ] {
        assert_eq!(rest[name], text);
    }
}

#[tokio::test]
async fn an_id_is_stable_without_a_delivery_id() {
    let of = |headers: &'static [(&str, &str)], body: &'static str| async move {
        let request = request(&[&[("x-shopify-topic", "checkouts/update")], headers].concat(), body);
        let [event] = source(None).await.normalize(&request).unwrap().events.try_into().unwrap();
        (event.id().to_owned(), event.text_attribute("partitionkey").map(str::to_owned))
    };
    let body = r#"{"id":1,"updated_at":"2026-01-01T00:00:00Z"}"#;
    let key = Some("checkouts:1".to_owned());
    assert_eq!(
        of(&[("x-shopify-webhook-id", "w"), ("x-shopify-event-id", "e")], body).await,
        ("w".to_owned(), key.clone())
    );
    assert_eq!(of(&[("x-shopify-event-id", "e")], body).await, ("e".to_owned(), key.clone()));
    assert_eq!(of(&[], body).await, ("checkouts/update:1:2026-01-01T00:00:00Z".to_owned(), key));
    assert_eq!(of(&[], "{}").await, of(&[], "{}").await);
    assert_ne!(of(&[], "{}").await, of(&[], r#"{"a":1}"#).await);
}
