//! What Stripe's objects have in common: amounts, references to other objects, addresses.

use trunkline_sdk::proto::commerce::v1::CustomerSummary;
use trunkline_sdk::proto::types::v1::{Address, Money, PlatformId};
use trunkline_sdk::webhook::NormalizeError;

use super::PLATFORM;
use crate::fields::Fields;
use crate::money::Currency;

/// Currencies whose amounts Stripe states with another number of decimals than ISO 4217. Crowns and shillings kept two
/// decimals at Stripe when ISO dropped them; ariary have none at Stripe, where ISO counts two.
const OWN_DECIMALS: [(&str, u32); 3] = [("ISK", 2), ("UGX", 2), ("MGA", 0)];

/// The ids of one object.
pub(super) fn identity(fields: &mut Fields<'_, '_>) -> Result<(String, Vec<PlatformId>), NormalizeError> {
    let id = fields.text("id").ok_or_else(|| fields.wrong("id", "missing"))?;
    let platform_id =
        PlatformId { platform: PLATFORM.to_owned(), kind: "id".to_owned(), id: id.clone(), url: None };
    Ok((id, vec![platform_id]))
}

/// Reads `currency`, which every object with an amount has.
pub(super) fn currency(fields: &mut Fields<'_, '_>) -> Result<Currency, NormalizeError> {
    let text = fields.text("currency").ok_or_else(|| fields.wrong("currency", "missing"))?;
    Currency::parse(&text).map_err(|error| fields.wrong("currency", error.to_string()))
}

/// Reads an amount in Stripe's smallest unit of `currency`.
pub(super) fn amount(
    fields: &mut Fields<'_, '_>,
    name: &str,
    currency: &Currency,
) -> Result<Option<Money>, NormalizeError> {
    let Some(raw) = fields.raw(name) else { return Ok(None) };
    let units: i64 =
        raw.get().parse().map_err(|_other| fields.wrong(name, "not a whole number of 64 bits"))?;
    money(units, currency).map(Some).map_err(|error| fields.wrong(name, error.to_string()))
}

fn money(units: i64, currency: &Currency) -> Result<Money, crate::money::MoneyError> {
    match OWN_DECIMALS.iter().find(|(code, _)| *code == currency.as_str()) {
        Some((_, decimals)) => currency.scaled(units, *decimals),
        None => Ok(currency.units(units)),
    }
}

/// Reads a reference: the other object's id, or that object itself, of which the rest stays.
pub(super) fn reference(fields: &mut Fields<'_, '_>, name: &str) -> Option<String> {
    match fields.object(name) {
        Some(mut object) => object.text("id"),
        None => fields.text(name),
    }
}

/// Who is behind `customer`.
pub(super) fn customer(fields: &mut Fields<'_, '_>) -> Option<CustomerSummary> {
    let id = reference(fields, "customer")?;
    let platform_id =
        PlatformId { platform: PLATFORM.to_owned(), kind: "id".to_owned(), id: id.clone(), url: None };
    Some(CustomerSummary { id: Some(id), platform_ids: vec![platform_id], ..CustomerSummary::default() })
}

/// Reads a bare address.
pub(super) fn address(fields: &mut Fields<'_, '_>, name: &str) -> Option<Address> {
    let mut fields = fields.object(name)?;
    let address = Address {
        line1: fields.text("line1"),
        line2: fields.text("line2"),
        city: fields.text("city"),
        region: fields.text("state"),
        postal_code: fields.text("postal_code"),
        country_code: fields.text("country"),
        ..Address::default()
    };
    Some(address).filter(|address| *address != Address::default())
}

/// Reads an address with whom it belongs to: `shipping` or `billing_details`.
pub(super) fn contact(fields: &mut Fields<'_, '_>, name: &str) -> Option<Address> {
    let mut fields = fields.object(name)?;
    let contact = Address {
        name: fields.text("name"),
        phone: fields.text("phone"),
        email: fields.text("email"),
        ..address(&mut fields, "address").unwrap_or_default()
    };
    Some(contact).filter(|contact| *contact != Address::default())
}

/// Whether it is test data, from `livemode`; forgets `object`, which the message's type says.
pub(super) fn is_test(fields: &mut Fields<'_, '_>) -> Option<bool> {
    fields.raw("object");
    fields.read("livemode").map(|live: bool| !live)
}
