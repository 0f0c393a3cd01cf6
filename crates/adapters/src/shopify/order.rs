//! Shopify's orders.

use serde_json::value::RawValue;
use trunkline_sdk::proto::commerce::v1::{CancelReason, FinancialStatus, Order, OrderStatus, ShippingLine};
use trunkline_sdk::webhook::NormalizeError;

use super::address::address;
use super::customer::summary;
use super::discount::discounts;
use super::fulfilment::fulfilment;
use super::identity::{self, Identity};
use super::line_item::{fulfilment_status, line_item, tax_lines};
use super::price::{price, price_with_presentment, sum};
use super::refund::refund;
use super::{PLATFORM, Shop, tags};
use crate::fields::{Fields, Leftovers, timestamp};
use crate::money::Currency;

const FINANCIAL: &[(&str, FinancialStatus)] = &[
    ("pending", FinancialStatus::Pending),
    ("authorized", FinancialStatus::Authorized),
    ("partially_paid", FinancialStatus::PartiallyPaid),
    ("paid", FinancialStatus::Paid),
    ("partially_refunded", FinancialStatus::PartiallyRefunded),
    ("refunded", FinancialStatus::Refunded),
    ("voided", FinancialStatus::Voided),
    ("expired", FinancialStatus::Expired),
];

const CANCEL: &[(&str, CancelReason)] = &[
    ("customer", CancelReason::Customer),
    ("inventory", CancelReason::Inventory),
    ("fraud", CancelReason::Fraud),
    ("declined", CancelReason::Declined),
    ("staff", CancelReason::Staff),
    ("other", CancelReason::Other),
];

/// `orders/create` and every other topic whose body is an order; a deleted one has its id only.
pub(super) fn order(raw: &RawValue, shop: &Shop) -> Result<Order, NormalizeError> {
    let leftovers = Leftovers::default();
    let mut fields = Fields::open(raw, &leftovers)?;
    let Identity { id, platform_ids } = identity::required(&mut fields)?;
    let currency = shop.currency(&mut fields, "currency")?;
    let mut order = Order { id, platform_ids, ..Order::default() };
    people(&mut fields, &mut order)?;
    goods(&mut fields, &mut order, &currency, shop)?;
    amounts(&mut fields, &mut order, &currency)?;
    times_and_states(&mut fields, &mut order)?;
    order.currency = Some(currency.as_str().to_owned()).filter(|code| !code.is_empty());
    order.metadata = fields.named_values("note_attributes");
    order.test = fields.read("test").or(shop.test);
    order.number = fields.id("order_number")?;
    order.name = fields.text("name");
    order.tags = tags(&mut fields);
    order.note = fields.text("note");
    order.payment_methods = fields.read("payment_gateway_names").unwrap_or_default();
    order.sales_channel = fields.text("source_name");
    order.locale = fields.text("customer_locale");
    order.purchase_order_number = fields.text("po_number");
    order.accepts_marketing = fields.read("buyer_accepts_marketing");
    drop(fields);
    order.platform_fields = leftovers.into_fields(PLATFORM);
    Ok(order)
}

fn people(fields: &mut Fields<'_, '_>, order: &mut Order) -> Result<(), NormalizeError> {
    order.email = fields.text("email");
    fields.drop_repeated("contact_email", order.email.as_deref());
    order.phone = fields.text("phone");
    order.customer = summary(fields, "customer")?;
    order.billing_address = address(fields, "billing_address")?;
    order.shipping_address = address(fields, "shipping_address")?;
    Ok(())
}

fn goods(
    fields: &mut Fields<'_, '_>,
    order: &mut Order,
    currency: &Currency,
    shop: &Shop,
) -> Result<(), NormalizeError> {
    for line in fields.objects("line_items") {
        order.line_items.push(line_item(line, currency)?);
    }
    for line in fields.objects("shipping_lines") {
        order.shipping_lines.push(shipping_line(line, currency)?);
    }
    order.discounts = discounts(fields, currency)?;
    order.tax_lines = tax_lines(fields, currency)?;
    // A refund and a fulfilment keep what has no canonical field with themselves.
    for raw in fields.items("refunds") {
        order.refunds.push(refund(raw, shop, currency)?);
    }
    for raw in fields.items("fulfillments") {
        order.fulfilments.push(fulfilment(raw, shop)?);
    }
    order.total_weight_grams = fields.read("total_weight");
    Ok(())
}

fn amounts(
    fields: &mut Fields<'_, '_>,
    order: &mut Order,
    currency: &Currency,
) -> Result<(), NormalizeError> {
    order.taxes_included = fields.read("taxes_included");
    order.subtotal = price(fields, "subtotal_price", currency)?;
    order.total_discount = price(fields, "total_discounts", currency)?;
    order.total_shipping = price(fields, "total_shipping_price", currency)?;
    order.total_tax = price(fields, "total_tax", currency)?;
    order.total_duties = price(fields, "original_total_duties", currency)?;
    order.total_fees = price(fields, "original_total_additional_fees", currency)?;
    order.total_tip = price(fields, "total_tip_received", currency)?;
    order.total_outstanding = price(fields, "total_outstanding", currency)?;
    (order.total, order.presentment_total) = price_with_presentment(fields, "total_price", currency)?;
    order.presentment_currency = fields.text("presentment_currency");
    Ok(())
}

fn times_and_states(fields: &mut Fields<'_, '_>, order: &mut Order) -> Result<(), NormalizeError> {
    order.created_at = fields.time("created_at")?.map(timestamp);
    order.updated_at = fields.time("updated_at")?.map(timestamp);
    order.processed_at = fields.time("processed_at")?.map(timestamp);
    order.cancelled_at = fields.time("cancelled_at")?.map(timestamp);
    order.closed_at = fields.time("closed_at")?.map(timestamp);
    order.cancel_reason = fields.word("cancel_reason", CANCEL).unwrap_or_default().into();
    order.financial_status = fields.word("financial_status", FINANCIAL).unwrap_or_default().into();
    order.fulfilment_status = fulfilment_status(fields).into();
    let status = match (&order.cancelled_at, &order.closed_at, &order.created_at) {
        (Some(_), _, _) => OrderStatus::Cancelled,
        (None, Some(_), _) => OrderStatus::Completed,
        (None, None, Some(_)) => OrderStatus::Open,
        (None, None, None) => OrderStatus::Unspecified,
    };
    order.status = status.into();
    Ok(())
}

fn shipping_line(mut fields: Fields<'_, '_>, currency: &Currency) -> Result<ShippingLine, NormalizeError> {
    let tax_lines = tax_lines(&mut fields, currency)?;
    Ok(ShippingLine {
        id: fields.id("id")?,
        code: fields.text("code"),
        title: fields.text("title"),
        carrier: fields.text("carrier_identifier"),
        price: price(&mut fields, "price", currency)?,
        discounted_price: price(&mut fields, "discounted_price", currency)?,
        total_tax: sum(&fields, "tax_lines", tax_lines.iter().filter_map(|tax| tax.amount.clone()))?,
        tax_lines,
    })
}
