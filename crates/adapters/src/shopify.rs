//! Shopify's webhooks: orders, customers, products, refunds and fulfilments become canonical messages, every other topic
//! passes as JSON under a stable name (`shopify.checkouts.create`).
//!
//! The signature covers the body only. Topic and delivery id stand in headers beside it, as Shopify sends them, so
//! whoever has seen one signed body could send it again under another topic; TLS is what keeps it from being seen.

mod address;
mod customer;
mod discount;
mod fulfilment;
mod identity;
mod line_item;
mod order;
mod price;
mod product;
mod refund;
#[cfg(test)]
mod tests;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_sdk::core::EventBuilder;
use trunkline_sdk::core::event::Attribute;
use trunkline_sdk::webhook::NormalizeError;
use trunkline_sdk::{Context, Event, Normalized, Refusal, SetupError, WebhookRequest, WebhookSource};

use crate::fields::{Fields, Leftovers, document};
use crate::money::Currency;
use crate::secret_list::SecretList;
use crate::verify::{SHOPIFY, TOLERANCE, Verifier};

const PLATFORM: &str = "shopify";

/// Settings of a `shopify` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShopifySettings {
    /// The app's client secret, or the key shown in the shop's administration for webhooks made there. Several while
    /// one is rotated.
    secret: SecretList,
    /// The shop's currency (ISO 4217), for prices that Shopify states without one: those of products.
    #[serde(default)]
    currency: Option<String>,
}

/// Shopify's webhooks.
#[derive(Debug)]
pub struct Shopify {
    verifier: Verifier,
    currency: Currency,
}

/// What is known of the shop besides a request's body.
struct Shop {
    currency: Currency,
    test: Option<bool>,
}

/// Which canonical message a topic's body is.
#[derive(Debug, Clone, Copy)]
enum Body {
    Order,
    Customer,
    Merge,
    Product,
    Refund,
    Fulfilment,
}

/// The topics with a canonical message, and the type of their events.
const TOPICS: &[(&str, Body, &str)] = &[
    ("orders/create", Body::Order, "commerce.order.created"),
    ("orders/updated", Body::Order, "commerce.order.updated"),
    ("orders/paid", Body::Order, "commerce.order.paid"),
    ("orders/partially_fulfilled", Body::Order, "commerce.order.partially_fulfilled"),
    ("orders/fulfilled", Body::Order, "commerce.order.fulfilled"),
    ("orders/cancelled", Body::Order, "commerce.order.cancelled"),
    ("orders/delete", Body::Order, "commerce.order.deleted"),
    ("customers/create", Body::Customer, "commerce.customer.created"),
    ("customers/update", Body::Customer, "commerce.customer.updated"),
    ("customers/enable", Body::Customer, "commerce.customer.updated"),
    ("customers/disable", Body::Customer, "commerce.customer.updated"),
    ("customers/delete", Body::Customer, "commerce.customer.deleted"),
    ("customers/merge", Body::Merge, "commerce.customer.merged"),
    ("products/create", Body::Product, "commerce.product.created"),
    ("products/update", Body::Product, "commerce.product.updated"),
    ("products/delete", Body::Product, "commerce.product.deleted"),
    ("refunds/create", Body::Refund, "commerce.refund.created"),
    ("fulfillments/create", Body::Fulfilment, "commerce.fulfilment.created"),
    ("fulfillments/update", Body::Fulfilment, "commerce.fulfilment.updated"),
];

impl WebhookSource for Shopify {
    const NAME: &'static str = PLATFORM;
    type Settings = ShopifySettings;

    async fn connect(settings: ShopifySettings, context: &Context) -> Result<Self, SetupError> {
        let currency = match settings.currency.as_deref() {
            Some(text) => Currency::parse(text).map_err(|error| {
                SetupError::new("currency", error.to_string())
                    .hint("use the three letters of ISO 4217, such as EUR")
            })?,
            None => Currency::unstated(),
        };
        let verifier = Verifier::new(SHOPIFY, settings.secret, TOLERANCE, context.secrets.clone());
        Ok(Self { verifier, currency })
    }

    fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal> {
        self.verifier.verify(request)
    }

    fn normalize(&self, request: &WebhookRequest) -> Result<Normalized, NormalizeError> {
        let topic = request
            .header("x-shopify-topic")
            .filter(|topic| !topic.is_empty())
            .ok_or_else(|| NormalizeError::new("header x-shopify-topic", "missing"))?;
        let raw = document(&request.body)?;
        let about = About::read(topic, raw)?;
        let shop = Shop {
            currency: self.currency.clone(),
            test: request.header("x-shopify-test").and_then(|text| text.parse().ok()),
        };
        let make = |kind: &str| self.envelope(request, topic, kind, &about);
        let canonical = TOPICS.iter().find(|(known, _, _)| *known == topic);
        let builder = match canonical {
            Some((_, body, kind)) => canonical_event(*body, kind, raw, &shop, make)?,
            None => None,
        };
        let builder = builder.unwrap_or_else(|| make(&own_type(topic)).json(raw.get()));
        let event = builder.build().map_err(|error| NormalizeError::new("event", error.to_string()))?;
        Ok(Normalized { events: vec![event], ..Normalized::default() })
    }
}

/// The event of a canonical topic; `None` when the body says that it is none after all.
fn canonical_event(
    body: Body,
    kind: &str,
    raw: &RawValue,
    shop: &Shop,
    make: impl Fn(&str) -> EventBuilder,
) -> Result<Option<EventBuilder>, NormalizeError> {
    Ok(Some(match body {
        Body::Order => {
            let order = order::order(raw, shop)?;
            make(kind).key(format!("order:{}", order.id)).subject(format!("order:{}", order.id)).proto(&order)
        }
        Body::Customer => {
            let customer = customer::customer(raw, shop)?;
            let subject = format!("customer:{}", customer.id);
            make(kind).key(subject.clone()).subject(subject).proto(&customer)
        }
        Body::Merge => {
            let (customer, state) = customer::merged(raw, shop)?;
            let kind = match state {
                customer::Merge::Done => kind,
                customer::Merge::Failed => "commerce.customer.merge_failed",
                customer::Merge::Open => return Ok(None),
            };
            let subject = format!("customer:{}", customer.id);
            make(kind).key(subject.clone()).subject(subject).proto(&customer)
        }
        Body::Product => {
            let product = product::product(raw, shop)?;
            let subject = format!("product:{}", product.id);
            make(kind).key(subject.clone()).subject(subject).proto(&product)
        }
        Body::Refund => {
            let refund = refund::refund(raw, shop, &shop.currency)?;
            make(kind).subject(format!("refund:{}", refund.id)).proto(&refund)
        }
        Body::Fulfilment => {
            let fulfilment = fulfilment::fulfilment(raw, shop)?;
            make(kind).subject(format!("fulfilment:{}", fulfilment.id)).proto(&fulfilment)
        }
    }))
}

/// What every body says, canonical or not: whose order it belongs to, which object it is, when it changed.
struct About {
    key: Option<String>,
    version: Option<String>,
    changed: Option<DateTime<Utc>>,
}

impl About {
    fn read(topic: &str, raw: &RawValue) -> Result<Self, NormalizeError> {
        let unread = Leftovers::default();
        let mut fields = Fields::open(raw, &unread)?;
        let order = match fields.id("order_id")? {
            Some(order) => Some(order),
            None => fields.object("order_edit").map(|mut edit| edit.id("order_id")).transpose()?.flatten(),
        };
        let own = identity::optional(&mut fields)?.map(|identity| identity.id);
        let updated = fields.peek_text("updated_at");
        let changed = updated.clone().or_else(|| fields.peek_text("created_at"));
        let resource = topic.split('/').next().unwrap_or(topic);
        let key = order
            .map(|id| format!("order:{id}"))
            .or_else(|| own.as_ref().map(|id| format!("{resource}:{id}")));
        Ok(Self {
            key,
            version: own.zip(updated).map(|(id, updated)| format!("{topic}:{id}:{updated}")),
            changed: changed.and_then(|text| time(&text)),
        })
    }
}

impl Shopify {
    fn envelope(&self, request: &WebhookRequest, topic: &str, kind: &str, about: &About) -> EventBuilder {
        let mut builder = Event::builder(event_id(request, topic, about), &request.source, kind);
        let triggered = request.header("x-shopify-triggered-at").and_then(time);
        if let Some(time) = triggered.or(about.changed) {
            builder = builder.time(time);
        }
        if let Some(key) = &about.key {
            builder = builder.key(key);
        }
        if let Some(domain) = request.header("x-shopify-shop-domain").filter(|domain| !domain.is_empty()) {
            builder = builder.attribute("shopdomain", Attribute::Text(domain.into()));
        }
        builder
    }
}

/// Shopify's id of the delivery, the same when it is sent again; else the object with its version; else what it says.
fn event_id(request: &WebhookRequest, topic: &str, about: &About) -> String {
    let header = |name| request.header(name).filter(|id| !id.is_empty()).map(str::to_owned);
    header("x-shopify-webhook-id")
        .or_else(|| header("x-shopify-event-id"))
        .or_else(|| about.version.clone())
        .unwrap_or_else(|| {
            let hash = digest::digest(&digest::SHA256, &request.body);
            format!("{topic}:sha256:{}", hex::encode(hash.as_ref()))
        })
}

/// The type of a topic without a canonical message: `shopify.checkouts.create`.
fn own_type(topic: &str) -> String {
    format!("{PLATFORM}.{}", topic.replace('/', "."))
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// `tags`: a text with commas.
fn tags(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let text = fields.text("tags").unwrap_or_default();
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

impl Shop {
    /// The currency that an object names, else the shop's.
    fn currency(&self, fields: &mut Fields<'_, '_>, name: &str) -> Result<Currency, NormalizeError> {
        match fields.text(name) {
            Some(text) => Currency::parse(&text).map_err(|error| fields.wrong(name, error.to_string())),
            None => Ok(self.currency.clone()),
        }
    }
}
