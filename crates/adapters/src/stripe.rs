//! Stripe's webhooks: customers, payment intents, charges, payouts and disputes become canonical messages, every other
//! type passes as JSON, Stripe's envelope included, under a stable name (`stripe.invoice.paid`).

mod charge;
mod customer;
mod dispute;
mod method;
mod parts;
mod payment;
mod payout;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use prost::{Message, Name};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use trunkline_sdk::core::EventBuilder;
use trunkline_sdk::core::config::DurationSetting;
use trunkline_sdk::core::event::Attribute;
use trunkline_sdk::proto::types::v1::PlatformFields;
use trunkline_sdk::webhook::NormalizeError;
use trunkline_sdk::{Context, Event, Normalized, Refusal, SetupError, WebhookRequest, WebhookSource};

use crate::fields::{Fields, Leftovers, document};
use crate::secret_list::SecretList;
use crate::verify::{STRIPE, TOLERANCE, Verifier};

const PLATFORM: &str = "stripe";

/// Settings of a `stripe` source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StripeSettings {
    /// The endpoint's signing secret (`whsec_..`). Several while one is rotated.
    secret: SecretList,
    /// How far the signature's time may be from now, before and after. Default 5 min.
    #[serde(default = "default_tolerance")]
    tolerance: DurationSetting,
}

fn default_tolerance() -> DurationSetting {
    DurationSetting(TOLERANCE)
}

/// Stripe's webhooks.
#[derive(Debug)]
pub struct Stripe {
    verifier: Verifier,
}

/// Which canonical message a type's object is.
#[derive(Debug, Clone, Copy)]
enum Object {
    Customer,
    Payment,
    Charge,
    Payout,
    Dispute,
}

/// The types with a canonical message, and the type of their events.
const TYPES: &[(&str, Object, &str)] = &[
    ("customer.created", Object::Customer, "commerce.customer.created"),
    ("customer.updated", Object::Customer, "commerce.customer.updated"),
    ("customer.deleted", Object::Customer, "commerce.customer.deleted"),
    ("payment_intent.created", Object::Payment, "payment.payment.created"),
    ("payment_intent.processing", Object::Payment, "payment.payment.processing"),
    ("payment_intent.requires_action", Object::Payment, "payment.payment.updated"),
    ("payment_intent.partially_funded", Object::Payment, "payment.payment.updated"),
    ("payment_intent.amount_capturable_updated", Object::Payment, "payment.payment.authorized"),
    ("payment_intent.succeeded", Object::Payment, "payment.payment.succeeded"),
    ("payment_intent.payment_failed", Object::Payment, "payment.payment.failed"),
    ("payment_intent.canceled", Object::Payment, "payment.payment.cancelled"),
    ("charge.pending", Object::Charge, "payment.charge.pending"),
    ("charge.succeeded", Object::Charge, "payment.charge.succeeded"),
    ("charge.captured", Object::Charge, "payment.charge.captured"),
    ("charge.failed", Object::Charge, "payment.charge.failed"),
    ("charge.refunded", Object::Charge, "payment.charge.refunded"),
    ("charge.updated", Object::Charge, "payment.charge.updated"),
    ("charge.expired", Object::Charge, "payment.charge.expired"),
    ("payout.created", Object::Payout, "payment.payout.created"),
    ("payout.updated", Object::Payout, "payment.payout.updated"),
    ("payout.reconciliation_completed", Object::Payout, "payment.payout.updated"),
    ("payout.paid", Object::Payout, "payment.payout.paid"),
    ("payout.failed", Object::Payout, "payment.payout.failed"),
    ("payout.canceled", Object::Payout, "payment.payout.cancelled"),
    ("charge.dispute.created", Object::Dispute, "payment.dispute.created"),
    ("charge.dispute.updated", Object::Dispute, "payment.dispute.updated"),
    ("charge.dispute.funds_withdrawn", Object::Dispute, "payment.dispute.funds_withdrawn"),
    ("charge.dispute.funds_reinstated", Object::Dispute, "payment.dispute.funds_reinstated"),
    ("charge.dispute.closed", Object::Dispute, "payment.dispute.closed"),
];

impl WebhookSource for Stripe {
    const NAME: &'static str = PLATFORM;
    type Settings = StripeSettings;

    async fn connect(settings: StripeSettings, context: &Context) -> Result<Self, SetupError> {
        let verifier = Verifier::new(STRIPE, settings.secret, settings.tolerance.0, context.secrets.clone());
        Ok(Self { verifier })
    }

    fn verify(&self, request: &WebhookRequest) -> Result<(), Refusal> {
        self.verifier.verify(request)
    }

    fn normalize(&self, request: &WebhookRequest) -> Result<Normalized, NormalizeError> {
        let raw = document(&request.body)?;
        let envelope = Envelope::read(raw)?;
        let canonical = TYPES.iter().find(|(known, _, _)| *known == envelope.kind);
        let builder = match (canonical, envelope.object) {
            (Some((_, object, kind)), Some(inner)) => {
                canonical_event(*object, &envelope, inner, |subject| {
                    envelope.builder(request, kind).subject(subject)
                })?
            }
            (Some(_), None) => return Err(NormalizeError::new("body.data.object", "missing")),
            (None, _) => {
                let builder = envelope.builder(request, &format!("{PLATFORM}.{}", envelope.kind));
                let builder = match &envelope.key {
                    Some(key) => builder.key(key).subject(key),
                    None => builder,
                };
                builder.json(raw.get())
            }
        };
        let event = builder.build().map_err(|error| NormalizeError::new("event", error.to_string()))?;
        Ok(Normalized { events: vec![event], ..Normalized::default() })
    }
}

/// Stripe's envelope around the object that something happened to.
struct Envelope<'a> {
    id: String,
    kind: String,
    created: Option<DateTime<Utc>>,
    account: Option<String>,
    object: Option<&'a RawValue>,
    previous: Option<&'a RawValue>,
    /// The object's sort and id: `invoice:in_..`.
    key: Option<String>,
}

impl<'a> Envelope<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, NormalizeError> {
        let unread = Leftovers::default();
        let mut fields = Fields::open(raw, &unread)?;
        let id = fields.text("id").ok_or_else(|| fields.wrong("id", "missing"))?;
        let kind = fields.text("type").ok_or_else(|| fields.wrong("type", "missing"))?;
        // Events of the second API write times as text and name their object instead of holding it.
        let is_text = fields.peek("created").is_some_and(|raw| raw.get().starts_with('"'));
        let created = if is_text { fields.time("created")? } else { fields.unix_time("created")? };
        let (mut object, mut previous, mut key) = (None, None, None);
        if let Some(mut data) = fields.object("data") {
            object = data.peek("object");
            previous = data.peek("previous_attributes");
            key = data.object("object").and_then(|object| key_of(&object, "object"));
        }
        let key = key.or_else(|| fields.object("related_object").and_then(|object| key_of(&object, "type")));
        Ok(Self { id, kind, created, account: fields.text("account"), object, previous, key })
    }

    fn builder(&self, request: &WebhookRequest, kind: &str) -> EventBuilder {
        let mut builder = Event::builder(&self.id, &request.source, kind);
        if let Some(created) = self.created {
            builder = builder.time(created);
        }
        if let Some(account) = &self.account {
            builder = builder.attribute("stripeaccount", Attribute::Text(account.as_str().into()));
        }
        builder
    }
}

fn key_of(object: &Fields<'_, '_>, sort: &str) -> Option<String> {
    Some(format!("{}:{}", object.peek_text(sort)?, object.peek_text("id")?))
}

/// The event of a canonical type. `make` begins it, given its subject.
fn canonical_event(
    object: Object,
    envelope: &Envelope<'_>,
    raw: &RawValue,
    make: impl FnOnce(String) -> EventBuilder,
) -> Result<EventBuilder, NormalizeError> {
    Ok(match object {
        Object::Customer => {
            let (mut customer, fields) = read(envelope, raw, customer::customer)?;
            customer.platform_fields = fields;
            let subject = format!("customer:{}", customer.id);
            finish(make(subject.clone()), subject, &customer)
        }
        Object::Payment => {
            let (mut payment, fields) = read(envelope, raw, payment::payment)?;
            payment.platform_fields = fields;
            let subject = format!("payment:{}", payment.id);
            finish(make(subject.clone()), subject, &payment)
        }
        Object::Charge => {
            let (mut charge, fields) = read(envelope, raw, charge::charge)?;
            charge.platform_fields = fields;
            let subject = format!("charge:{}", charge.id);
            let key =
                charge.payment_id.as_ref().map_or_else(|| subject.clone(), |id| format!("payment:{id}"));
            finish(make(subject), key, &charge)
        }
        Object::Payout => {
            let (mut payout, fields) = read(envelope, raw, payout::payout)?;
            payout.platform_fields = fields;
            let subject = format!("payout:{}", payout.id);
            finish(make(subject.clone()), subject, &payout)
        }
        Object::Dispute => {
            let (mut dispute, fields) = read(envelope, raw, dispute::dispute)?;
            dispute.platform_fields = fields;
            let subject = format!("dispute:{}", dispute.id);
            let payment = dispute.payment_id.as_ref().map(|id| format!("payment:{id}"));
            let charge = dispute.charge_id.as_ref().map(|id| format!("charge:{id}"));
            finish(make(subject.clone()), payment.or(charge).unwrap_or(subject), &dispute)
        }
    })
}

/// Reads an object; the second is what it says besides. What an update replaced stays as `previous_attributes`.
fn read<T>(
    envelope: &Envelope<'_>,
    raw: &RawValue,
    object: impl FnOnce(&mut Fields<'_, '_>) -> Result<T, NormalizeError>,
) -> Result<(T, Option<PlatformFields>), NormalizeError> {
    let leftovers = Leftovers::default();
    let mut fields = Fields::open(raw, &leftovers)?;
    let read = object(&mut fields)?;
    drop(fields);
    let mut platform_fields = leftovers.into_fields(PLATFORM);
    if let Some(previous) = envelope.previous {
        let fields = platform_fields.get_or_insert_with(|| PlatformFields {
            platform: PLATFORM.to_owned(),
            ..PlatformFields::default()
        });
        fields.fields_json.insert("previous_attributes".to_owned(), previous.get().to_owned());
    }
    Ok((read, platform_fields))
}

fn finish<M: Message + Name>(builder: EventBuilder, key: String, message: &M) -> EventBuilder {
    builder.key(key).proto(message)
}
