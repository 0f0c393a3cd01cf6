//! The lines of Shopify's orders.

use trunkline_sdk::proto::commerce::v1::{FulfilmentStatus, LineItem, TaxLine};
use trunkline_sdk::proto::types::v1::Money;
use trunkline_sdk::webhook::NormalizeError;

use super::identity::{self, Identity};
use super::price::{price, sum};
use crate::fields::Fields;
use crate::money::Currency;

pub(super) const FULFILMENT: &[(&str, FulfilmentStatus)] = &[
    ("fulfilled", FulfilmentStatus::Fulfilled),
    ("partial", FulfilmentStatus::PartiallyFulfilled),
    ("restocked", FulfilmentStatus::Restocked),
    ("unfulfilled", FulfilmentStatus::Unfulfilled),
    ("not_eligible", FulfilmentStatus::NotRequired),
];

/// A line of an order.
pub(super) fn line_item(mut fields: Fields<'_, '_>, currency: &Currency) -> Result<LineItem, NormalizeError> {
    let Identity { id, platform_ids } = identity::required(&mut fields)?;
    let quantity = fields.read("quantity").unwrap_or_default();
    let unit_price = price(&mut fields, "price", currency)?;
    let total_discount = discount(&mut fields, currency)?;
    let tax_lines = tax_lines(&mut fields, currency)?;
    let title = fields.text("title");
    fields.drop_repeated("name", title.as_deref());
    Ok(LineItem {
        id,
        platform_ids,
        product_id: fields.id("product_id")?,
        variant_id: fields.id("variant_id")?,
        sku: fields.text("sku"),
        title,
        variant_title: fields.text("variant_title"),
        vendor: fields.text("vendor"),
        quantity,
        current_quantity: fields.read("current_quantity"),
        fulfillable_quantity: fields.read("fulfillable_quantity"),
        total: total(&fields, quantity, unit_price.as_ref(), total_discount.as_ref())?,
        unit_price,
        total_discount,
        total_tax: sum(&fields, "tax_lines", tax_lines.iter().filter_map(|tax| tax.amount.clone()))?,
        tax_lines,
        requires_shipping: fields.read("requires_shipping"),
        taxable: fields.read("taxable"),
        gift_card: fields.read("gift_card"),
        weight_grams: fields.read("grams"),
        fulfilment_status: fulfilment_status(&mut fields).into(),
        properties: fields.named_values("properties"),
    })
}

/// `tax_lines` of an order, a line or a shipping line.
pub(super) fn tax_lines(
    fields: &mut Fields<'_, '_>,
    currency: &Currency,
) -> Result<Vec<TaxLine>, NormalizeError> {
    let read = |mut tax: Fields<'_, '_>| {
        Ok(TaxLine {
            title: tax.text("title"),
            rate: tax.decimal("rate")?,
            amount: price(&mut tax, "price", currency)?,
        })
    };
    fields.objects("tax_lines").into_iter().map(read).collect()
}

/// `fulfillment_status`, where null is Shopify's word for "nothing yet".
pub(super) fn fulfilment_status(fields: &mut Fields<'_, '_>) -> FulfilmentStatus {
    if fields.is_null("fulfillment_status") {
        return FulfilmentStatus::Unfulfilled;
    }
    fields.word("fulfillment_status", FULFILMENT).unwrap_or_default()
}

/// What was taken off the line: the allocations together, which hold discounts of the whole order too, else
/// `total_discount`. Both stay, because allocations also say which discount took it off.
fn discount(fields: &mut Fields<'_, '_>, currency: &Currency) -> Result<Option<Money>, NormalizeError> {
    let own = price(fields, "total_discount", currency)?;
    let kept = fields.peek("discount_allocations");
    let mut amounts = Vec::new();
    for mut allocation in fields.objects("discount_allocations") {
        amounts.extend(price(&mut allocation, "amount", currency)?);
    }
    let allocated = sum(fields, "discount_allocations", amounts)?;
    if let Some(raw) = kept {
        fields.leave("discount_allocations", raw);
    }
    Ok(allocated.or(own))
}

fn total(
    fields: &Fields<'_, '_>,
    quantity: i64,
    unit_price: Option<&Money>,
    discount: Option<&Money>,
) -> Result<Option<Money>, NormalizeError> {
    let Some(unit_price) = unit_price else { return Ok(None) };
    let off = discount.map_or(0, |money| money.minor_units);
    let minor_units = unit_price.minor_units.checked_mul(quantity).and_then(|units| units.checked_sub(off));
    let minor_units =
        minor_units.ok_or_else(|| fields.wrong("price", "the line is more than fits in 64 bits"))?;
    Ok(Some(Money { currency: unit_price.currency.clone(), minor_units }))
}
