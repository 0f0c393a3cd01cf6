//! The sending platforms: webhooks as Shopify and Stripe make and sign them, with content of the demo's own.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;

use super::stage::Stage;

/// An order of the shop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) number: u64,
    /// In cents.
    pub(super) total: u64,
    pub(super) is_paid: bool,
    /// Some buy as guests and leave no address.
    pub(super) has_email: bool,
}

impl Order {
    /// One of many.
    pub(super) fn of_the_burst(number: u64) -> Self {
        Self {
            number,
            total: 1_990 + (number * 7_919) % 20_000,
            is_paid: !number.is_multiple_of(10),
            has_email: !number.is_multiple_of(7),
        }
    }

    /// Whether `big-spenders` of the demo's configuration is about it.
    pub(super) fn is_of_a_big_spender(self) -> bool {
        self.total > 10_000 && self.is_paid && self.has_email
    }

    fn json(self, now: DateTime<Utc>) -> Value {
        let price = format!("{}.{:02}", self.total / 100, self.total % 100);
        let time = now.to_rfc3339_opts(SecondsFormat::Secs, true);
        let email = self.has_email.then(|| format!("customer-{}@example.com", self.number));
        json!({
            "id": 7_000_000_000_000_u64 + self.number,
            "order_number": self.number,
            "name": format!("#{}", self.number),
            "currency": "EUR",
            "total_price": price,
            "financial_status": if self.is_paid { "paid" } else { "pending" },
            "created_at": time,
            "updated_at": time,
            "customer": { "id": 5_000_000_000_000_u64 + self.number, "email": email, "first_name": "Ada", "last_name": "Example" },
            "line_items": [
                { "id": 9_000_000_000_000_u64 + self.number, "sku": "TEA-250", "title": "Green tea", "quantity": 1, "price": price },
            ],
        })
    }
}

/// What the gateway said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) is_duplicate: bool,
}

/// The shop tells of a new order, signed with `secret`.
pub(super) async fn order(stage: &Stage, order: Order, secret: &str) -> anyhow::Result<Answer> {
    let id = format!("demo-order-{}", order.number);
    shop(stage, "orders/create", &id, &order.json(Utc::now()), secret).await
}

/// The shop tells that a product has changed, which nobody subscribes to.
pub(super) async fn product(stage: &Stage) -> anyhow::Result<Answer> {
    let product =
        json!({ "id": 6_000_000_000_001_u64, "title": "Green tea", "updated_at": Utc::now().to_rfc3339() });
    shop(stage, "products/update", "demo-product-1", &product, &stage.secrets.shop).await
}

async fn shop(stage: &Stage, topic: &str, id: &str, body: &Value, secret: &str) -> anyhow::Result<Answer> {
    let body = body.to_string();
    let signature = STANDARD.encode(sign(secret, &[body.as_bytes()])?);
    let request = stage.http.post(format!("http://{}/hooks/shop", stage.gateway));
    let request = request
        .header("content-type", "application/json")
        .header("x-shopify-topic", topic)
        .header("x-shopify-webhook-id", id)
        .header("x-shopify-shop-domain", "demo.example.com")
        .header("x-shopify-hmac-sha256", signature);
    send(request.body(body)).await
}

/// The payment platform tells that a payment has succeeded.
pub(super) async fn payment(stage: &Stage, number: u64, amount: u64) -> anyhow::Result<Answer> {
    let now = Utc::now().timestamp();
    let body = json!({
        "id": format!("evt_demo_{number}"),
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": now,
        "livemode": false,
        "data": { "object": {
            "id": format!("pi_demo_{number}"),
            "object": "payment_intent",
            "amount": amount,
            "amount_received": amount,
            "currency": "eur",
            "status": "succeeded",
            "created": now,
            "livemode": false,
            "metadata": { "order": number.to_string() },
        } },
    });
    let body = body.to_string();
    let signature =
        hex::encode(sign(&stage.secrets.payments, &[now.to_string().as_bytes(), b".", body.as_bytes()])?);
    let request = stage.http.post(format!("http://{}/hooks/payments", stage.gateway));
    let request = request
        .header("content-type", "application/json")
        .header("stripe-signature", format!("t={now},v1={signature}"));
    send(request.body(body)).await
}

fn sign(secret: &str, parts: &[&[u8]]) -> anyhow::Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    parts.iter().for_each(|part| mac.update(part));
    Ok(mac.finalize().into_bytes().to_vec())
}

async fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
    let answer = request.send().await.context("the gateway does not answer")?;
    let is_duplicate = answer.headers().contains_key("trunkline-duplicates");
    Ok(Answer { status: answer.status(), is_duplicate })
}
