//! Shopify's customers.

use serde_json::value::RawValue;
use trunkline_sdk::proto::commerce::v1::{Consent, ConsentState, Customer, CustomerStatus, CustomerSummary};
use trunkline_sdk::proto::types::v1::PlatformId;
use trunkline_sdk::webhook::NormalizeError;

use super::address::{address, addresses};
use super::identity::{self, Identity};
use super::price::price;
use super::{PLATFORM, Shop, tags};
use crate::fields::{Fields, Leftovers, timestamp};

const STATUS: &[(&str, CustomerStatus)] = &[
    ("enabled", CustomerStatus::Enabled),
    ("disabled", CustomerStatus::Disabled),
    ("invited", CustomerStatus::Invited),
    ("declined", CustomerStatus::Declined),
];

const CONSENT: &[(&str, ConsentState)] = &[
    ("subscribed", ConsentState::Subscribed),
    ("not_subscribed", ConsentState::NotSubscribed),
    ("pending", ConsentState::Pending),
    ("unsubscribed", ConsentState::Unsubscribed),
];

/// `customers/create`, `update`, `enable`, `disable` and `delete`.
pub(super) fn customer(raw: &RawValue, shop: &Shop) -> Result<Customer, NormalizeError> {
    let leftovers = Leftovers::default();
    let mut fields = Fields::open(raw, &leftovers)?;
    let Identity { id, platform_ids } = identity::required(&mut fields)?;
    let currency = shop.currency(&mut fields, "currency")?;
    let mut customer = Customer {
        id,
        platform_ids,
        test: shop.test,
        created_at: fields.time("created_at")?.map(timestamp),
        updated_at: fields.time("updated_at")?.map(timestamp),
        platform_status: fields.peek_text("state"),
        email: fields.text("email"),
        email_verified: fields.read("verified_email"),
        phone: fields.text("phone"),
        first_name: fields.text("first_name"),
        last_name: fields.text("last_name"),
        status: fields.word("state", STATUS).unwrap_or_default().into(),
        default_address: address(&mut fields, "default_address")?,
        addresses: addresses(&mut fields, "addresses")?,
        locale: fields.text("locale"),
        currency: Some(currency.as_str().to_owned()).filter(|code| !code.is_empty()),
        tax_exempt: fields.read("tax_exempt"),
        email_marketing: consent(&mut fields, "email_marketing_consent")?,
        sms_marketing: consent(&mut fields, "sms_marketing_consent")?,
        tags: tags(&mut fields),
        note: fields.text("note"),
        order_count: fields.read("orders_count"),
        total_spent: price(&mut fields, "total_spent", &currency)?,
        ..Customer::default()
    };
    drop(fields);
    customer.platform_fields = leftovers.into_fields(PLATFORM);
    Ok(customer)
}

/// What became of `customers/merge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    Done,
    Failed,
    /// In a state that says neither.
    Open,
}

/// `customers/merge`: the customer that is kept and, when it succeeded, the one that is no more.
pub(super) fn merged(raw: &RawValue, shop: &Shop) -> Result<(Customer, Merge), NormalizeError> {
    let leftovers = Leftovers::default();
    let mut fields = Fields::open(raw, &leftovers)?;
    let global = |fields: &mut Fields<'_, '_>, name: &str| {
        let text = fields.peek_text(name).unwrap_or_default();
        let id = identity::tail(&text).map(str::to_owned);
        id.map(|id| (id, text)).ok_or_else(|| fields.wrong(name, "no id of a customer"))
    };
    let (id, kept) = global(&mut fields, "admin_graphql_api_customer_kept_id")?;
    let (deleted, _) = global(&mut fields, "admin_graphql_api_customer_deleted_id")?;
    let platform_status = fields.text("status");
    let state = match platform_status.as_deref() {
        None | Some("completed") => Merge::Done,
        Some("failed") => Merge::Failed,
        Some(_) => Merge::Open,
    };
    drop(fields);
    let platform_id = |kind: &str, id: String| PlatformId {
        platform: PLATFORM.to_owned(),
        kind: kind.to_owned(),
        id,
        url: None,
    };
    let customer = Customer {
        platform_ids: vec![platform_id("id", id.clone()), platform_id("admin_graphql_api_id", kept)],
        id,
        test: shop.test,
        platform_status,
        merged_ids: if state == Merge::Done { vec![deleted] } else { Vec::new() },
        platform_fields: leftovers.into_fields(PLATFORM),
        ..Customer::default()
    };
    Ok((customer, state))
}

/// The customer inside another object.
pub(super) fn summary(
    fields: &mut Fields<'_, '_>,
    name: &str,
) -> Result<Option<CustomerSummary>, NormalizeError> {
    let Some(mut fields) = fields.object(name) else { return Ok(None) };
    let identity = identity::optional(&mut fields)?;
    let (id, platform_ids) = identity.map(|identity| (identity.id, identity.platform_ids)).unzip();
    Ok(Some(CustomerSummary {
        id,
        platform_ids: platform_ids.unwrap_or_default(),
        email: fields.text("email"),
        phone: fields.text("phone"),
        first_name: fields.text("first_name"),
        last_name: fields.text("last_name"),
        locale: fields.text("locale"),
        tags: tags(&mut fields),
        ..CustomerSummary::default()
    }))
}

fn consent(fields: &mut Fields<'_, '_>, name: &str) -> Result<Option<Consent>, NormalizeError> {
    let Some(mut fields) = fields.object(name) else { return Ok(None) };
    Ok(Some(Consent {
        state: fields.word("state", CONSENT).unwrap_or_default().into(),
        updated_at: fields.time("consent_updated_at")?.map(timestamp),
    }))
}
