//! Stripe's customers.

use trunkline_sdk::proto::commerce::v1::Customer;
use trunkline_sdk::webhook::NormalizeError;

use super::parts::{address, amount, contact, identity, is_test};
use crate::fields::{Fields, timestamp};
use crate::money::Currency;

/// `tax_exempt`; `reverse` stays, because it is neither.
const TAX_EXEMPT: &[(&str, bool)] = &[("none", false), ("exempt", true)];

/// `customer.created`, `updated` and `deleted`.
pub(super) fn customer(fields: &mut Fields<'_, '_>) -> Result<Customer, NormalizeError> {
    let (id, platform_ids) = identity(fields)?;
    let default_address = address(fields, "address");
    let shipping = contact(fields, "shipping");
    let stated = fields.text("currency");
    let currency = match stated.as_deref().map(Currency::parse) {
        Some(parsed) => Some(parsed.map_err(|error| fields.wrong("currency", error.to_string()))?),
        None => None,
    };
    let balance = match &currency {
        // At Stripe a negative balance is what the customer has to good.
        Some(currency) => amount(fields, "balance", currency)?.map(|mut money| {
            money.minor_units = money.minor_units.saturating_neg();
            money
        }),
        None => None,
    };
    let locales: Vec<String> = fields
        .peek("preferred_locales")
        .map_or_else(Vec::new, |raw| serde_json::from_str(raw.get()).unwrap_or_default());
    if locales.len() == 1 {
        fields.raw("preferred_locales");
    }
    Ok(Customer {
        id,
        platform_ids,
        metadata: fields.read("metadata").unwrap_or_default(),
        test: is_test(fields),
        created_at: fields.unix_time("created")?.map(timestamp),
        email: fields.text("email"),
        phone: fields.text("phone"),
        name: fields.text("name"),
        addresses: default_address.iter().cloned().chain(shipping).collect(),
        default_address,
        locale: locales.into_iter().next(),
        currency: currency.map(|currency| currency.as_str().to_owned()),
        tax_exempt: fields.word("tax_exempt", TAX_EXEMPT),
        note: fields.text("description"),
        balance,
        ..Customer::default()
    })
}
