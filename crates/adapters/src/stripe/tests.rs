//! Bodies made here, with everything they become.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value as Json, json};
use trunkline_sdk::core::event::Data;
use trunkline_sdk::proto::commerce::v1::Customer;
use trunkline_sdk::proto::payment::v1 as payment;
use trunkline_sdk::proto::types::v1::Money;

use super::*;
use crate::testing::{context, request};

async fn normalize(kind: &str, object: &Json) -> Result<Event, NormalizeError> {
    let settings = serde_json::from_value(json!({ "secret": "${env:UNUSED}" })).unwrap();
    let source = Stripe::connect(settings, &context()).await.unwrap();
    let body = json!({
        "id": "evt_1", "object": "event", "type": kind, "created": 1_700_000_000, "livemode": true, "account": "acct_1",
        "data": { "object": object, "previous_attributes": { "status": "before" } },
    });
    let [event] = source.normalize(&request(&[], body.to_string()))?.events.try_into().unwrap();
    Ok(event)
}

async fn message<M: Message + Name + Default>(kind: &str, canonical: &str, key: &str, object: &Json) -> M {
    let event = normalize(kind, object).await.unwrap();
    assert_eq!((event.id(), event.source(), event.kind()), ("evt_1", "shop", canonical));
    assert_eq!(event.text_attribute("partitionkey"), Some(key));
    assert_eq!(event.text_attribute("stripeaccount"), Some("acct_1"));
    assert_eq!(event.time().unwrap().timestamp(), 1_700_000_000);
    let Data::Proto { type_url, value } = event.data() else { panic!("{event:?}") };
    assert_eq!(type_url.as_str(), M::type_url());
    M::decode(value.clone()).unwrap()
}

fn money(currency: &str, minor_units: i64) -> Option<Money> {
    Some(Money { currency: currency.to_owned(), minor_units })
}

#[tokio::test]
async fn a_customers_credit_is_owed_to_the_customer() {
    let object = json!({
        "id": "cus_1", "object": "customer", "balance": -500, "currency": "eur", "created": 1_600_000_000, "livemode": false,
        "email": "a@b.example", "metadata": { "crm": "7" }, "preferred_locales": ["de-AT"], "tax_exempt": "exempt",
        "address": { "line1": "Street 1", "country": "AT" },
        "shipping": { "name": "A", "address": { "city": "Graz" } },
    });
    let customer: Customer =
        message("customer.updated", "commerce.customer.updated", "customer:cus_1", &object).await;
    assert_eq!((customer.balance, customer.test), (money("EUR", 500), Some(true)));
    assert_eq!((customer.locale.as_deref(), customer.tax_exempt), (Some("de-AT"), Some(true)));
    assert_eq!((customer.metadata["crm"].as_str(), customer.addresses.len()), ("7", 2));
    assert_eq!(customer.created_at.unwrap().seconds, 1_600_000_000);
    let rest = customer.platform_fields.unwrap().fields_json;
    assert_eq!(rest.keys().collect::<Vec<_>>(), ["previous_attributes"]);
}

#[tokio::test]
async fn a_payment_intent() {
    let object = json!({
        "id": "pi_1", "object": "payment_intent", "amount": 5000, "amount_capturable": 0, "amount_received": 5000,
        "currency": "jpy", "status": "succeeded", "capture_method": "automatic_async", "created": 1_700_000_000,
        "customer": "cus_1", "payment_method": "pm_1", "payment_method_types": ["card"], "latest_charge": "ch_2",
        "charges": { "object": "list", "data": [{ "id": "ch_2" }, { "id": "ch_1" }] }, "livemode": true,
        "last_payment_error": { "code": "card_declined", "decline_code": "insufficient_funds", "message": "No." },
        "client_secret": null,
    });
    let paid: payment::Payment =
        message("payment_intent.succeeded", "payment.payment.succeeded", "payment:pi_1", &object).await;
    assert_eq!((&paid.amount, &paid.amount_captured), (&money("JPY", 5000), &money("JPY", 5000)));
    assert_eq!(
        (paid.status(), paid.capture_method()),
        (payment::PaymentStatus::Succeeded, payment::CaptureMethod::Automatic)
    );
    assert_eq!((paid.charge_ids.join(","), paid.test), ("ch_1,ch_2".to_owned(), Some(false)));
    assert_eq!(
        (paid.failure_code.as_deref(), paid.decline_code.as_deref()),
        (Some("card_declined"), Some("insufficient_funds"))
    );
    assert_eq!(paid.method.unwrap().kind(), payment::PaymentMethodKind::Card);
    assert_eq!(paid.customer.unwrap().id.as_deref(), Some("cus_1"));
}

#[tokio::test]
async fn a_charge_is_kept_with_its_payment() {
    let object = json!({
        "id": "ch_1", "object": "charge", "amount": 1999, "amount_captured": 0, "amount_refunded": 0, "currency": "usd",
        "status": "succeeded", "captured": false, "refunded": false, "disputed": false, "payment_intent": "pi_1",
        "payment_method": "pm_1", "customer": { "id": "cus_1", "object": "customer" },
        "payment_method_details": { "type": "card", "card": {
            "brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2030, "funding": "prepaid",
            "wallet": { "type": "apple_pay" }, "checks": { "cvc_check": "pass" },
        } },
        "billing_details": { "email": "a@b.example", "address": { "country": "US" } },
        "outcome": { "risk_level": "normal", "risk_score": 12, "network_status": "approved_by_network" },
    });
    let charge: payment::Charge =
        message("charge.succeeded", "payment.charge.succeeded", "payment:pi_1", &object).await;
    assert_eq!((&charge.amount, charge.kind()), (&money("USD", 1999), payment::ChargeKind::Authorization));
    assert_eq!((charge.payment_id.as_deref(), charge.risk_score), (Some("pi_1"), Some(12)));
    let method = charge.method.unwrap();
    assert_eq!(
        (method.brand.as_deref(), method.last4.as_deref(), method.expiry_year),
        (Some("visa"), Some("4242"), Some(2030))
    );
    assert_eq!(
        (method.funding(), method.wallet.as_deref()),
        (payment::CardFunding::Prepaid, Some("apple_pay"))
    );
    assert_eq!(charge.customer.unwrap().id.as_deref(), Some("cus_1"));
    let rest = charge.platform_fields.unwrap().fields_json;
    assert_eq!(rest["outcome.network_status"], "\"approved_by_network\"");
    assert_eq!(rest["payment_method_details.card.checks"], "{\"cvc_check\":\"pass\"}");
    let alone = json!({ "id": "ch_9", "amount": 1, "currency": "usd" });
    message::<payment::Charge>("charge.failed", "payment.charge.failed", "charge:ch_9", &alone).await;
}

#[tokio::test]
async fn a_payout() {
    let object = json!({
        "id": "po_1", "object": "payout", "amount": -1234, "currency": "chf", "arrival_date": 1_700_006_400, "automatic": true,
        "created": 1_700_000_000, "destination": "ba_1", "method": "instant", "status": "in_transit", "type": "bank_account",
        "trace_id": { "status": "supported", "value": "T1" }, "livemode": true,
    });
    let payout: payment::Payout =
        message("payout.updated", "payment.payout.updated", "payout:po_1", &object).await;
    assert_eq!((&payout.amount, payout.status()), (&money("CHF", -1234), payment::PayoutStatus::InTransit));
    assert_eq!(
        (payout.speed(), payout.arrival_at.unwrap().seconds),
        (payment::PayoutSpeed::Instant, 1_700_006_400)
    );
    assert_eq!(
        (payout.trace_id.as_deref(), payout.account.unwrap().id.as_deref()),
        (Some("T1"), Some("ba_1"))
    );
}

#[tokio::test]
async fn a_dispute_is_kept_with_its_payment() {
    let object = json!({
        "id": "dp_1", "object": "dispute", "amount": 1000, "currency": "eur", "charge": "ch_1", "payment_intent": "pi_1",
        "status": "warning_needs_response", "reason": "product_not_received", "created": 1_700_000_000,
        "is_charge_refundable": true, "livemode": true,
        "evidence_details": { "due_by": 1_700_500_000, "submission_count": 0, "past_due": false },
        "balance_transactions": [{ "fee_details": [
            { "amount": 1500, "currency": "eur", "type": "stripe_fee", "description": "Dispute fee" },
            { "amount": 20, "currency": "eur", "type": "tax" },
        ] }],
        "payment_method_details": { "type": "card", "card": { "brand": "visa", "network_reason_code": "13.1" } },
    });
    let dispute: payment::Dispute =
        message("charge.dispute.created", "payment.dispute.created", "payment:pi_1", &object).await;
    assert_eq!(
        (&dispute.amount, &dispute.fee, dispute.fees.len()),
        (&money("EUR", 1000), &money("EUR", 1520), 2)
    );
    assert_eq!(
        (dispute.status(), dispute.stage()),
        (payment::DisputeStatus::NeedsResponse, payment::DisputeStage::Inquiry)
    );
    assert_eq!(
        (dispute.reason(), dispute.platform_reason.as_deref()),
        (payment::DisputeReason::NotReceived, Some("product_not_received"))
    );
    assert_eq!(
        (dispute.evidence_due_at.unwrap().seconds, dispute.evidence_submitted),
        (1_700_500_000, Some(false))
    );
    assert_eq!(
        (dispute.network.as_deref(), dispute.network_reason_code.as_deref()),
        (Some("visa"), Some("13.1"))
    );
}

#[tokio::test]
async fn every_canonical_type_is_of_its_family() {
    let object = json!({ "id": "x_1", "amount": 1, "currency": "eur" });
    for (kind, _, canonical) in TYPES {
        let event = normalize(kind, &object).await.unwrap();
        let Data::Proto { type_url, .. } = event.data() else { panic!("{kind}") };
        let family = trunkline_sdk::core::types::canonical_message(canonical).unwrap();
        assert_eq!((event.kind(), type_url.as_str().rsplit('/').next()), (*canonical, Some(family)));
    }
}

#[tokio::test]
async fn stripes_own_units_become_those_of_iso_4217() {
    for (currency, amount, expected) in [
        ("isk", 4000, Some(40)),
        ("ugx", 500, Some(5)),
        ("mga", 5, Some(500)),
        ("kwd", 5120, Some(5120)),
        ("isk", 4010, None),
    ] {
        let object = json!({ "id": "po_1", "amount": amount, "currency": currency });
        let units = match normalize("payout.paid", &object).await {
            Ok(event) => match event.data() {
                Data::Proto { value, .. } => {
                    payment::Payout::decode(value.clone()).unwrap().amount.map(|money| money.minor_units)
                }
                _ => panic!(),
            },
            Err(error) => {
                assert_eq!(error.field, "body.amount");
                None
            }
        };
        assert_eq!(units, expected, "{currency}");
    }
}

#[tokio::test]
async fn what_is_no_canonical_type_passes_as_json_with_its_envelope() {
    let event =
        normalize("invoice.paid", &json!({ "id": "in_1", "object": "invoice", "total": 12 })).await.unwrap();
    assert_eq!(
        (event.kind(), event.text_attribute("partitionkey")),
        ("stripe.invoice.paid", Some("invoice:in_1"))
    );
    let Data::Text(text) = event.data() else { panic!() };
    assert!(text.as_str().contains("\"evt_1\"") && text.as_str().contains("\"total\":12"));
    let thin = r#"{"id":"evt_2","object":"v2.core.event","type":"v1.billing.meter.no_meter_found","created":"2026-01-01T00:00:00.000Z","related_object":{"id":"m_1","type":"billing.meter"}}"#;
    let settings = serde_json::from_value(json!({ "secret": "${env:UNUSED}" })).unwrap();
    let source = Stripe::connect(settings, &context()).await.unwrap();
    let [event] = source.normalize(&request(&[], thin)).unwrap().events.try_into().unwrap();
    assert_eq!(
        (event.kind(), event.subject()),
        ("stripe.v1.billing.meter.no_meter_found", Some("billing.meter:m_1"))
    );
    for (body, field) in [
        ("{}", "body.id"),
        (r#"{"id":"evt_1","type":"customer.created"}"#, "body.data.object"),
        ("no", "body"),
    ] {
        assert_eq!(source.normalize(&request(&[], body)).unwrap_err().field, field);
    }
    let no_currency = normalize("payout.paid", &json!({ "id": "po_1", "amount": 1 })).await.unwrap_err();
    assert_eq!(no_currency.field, "body.currency");
    let fraction = normalize("payout.paid", &json!({ "id": "po_1", "amount": 1.5, "currency": "eur" }))
        .await
        .unwrap_err();
    assert_eq!(fraction.field, "body.amount");
}
