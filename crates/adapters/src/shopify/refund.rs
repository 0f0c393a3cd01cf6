//! Shopify's refunds.

use serde_json::value::RawValue;
use trunkline_sdk::proto::commerce::v1::{Refund, RefundLine, RefundStatus, Restock};
use trunkline_sdk::proto::types::v1::Money;
use trunkline_sdk::webhook::NormalizeError;

use super::identity::{self, Identity};
use super::price::{price, sum};
use super::{PLATFORM, Shop};
use crate::fields::{Fields, Leftovers, timestamp};
use crate::money::Currency;

const RESTOCK: &[(&str, Restock)] = &[
    ("no_restock", Restock::None),
    ("cancel", Restock::Cancelled),
    ("return", Restock::Returned),
    ("legacy_restock", Restock::Returned),
];

/// `refunds/create`, and the refunds inside an order. `currency` is the shop's where it is known.
pub(super) fn refund(raw: &RawValue, shop: &Shop, currency: &Currency) -> Result<Refund, NormalizeError> {
    let leftovers = Leftovers::default();
    let mut fields = Fields::open(raw, &leftovers)?;
    let Identity { id, platform_ids } = identity::required(&mut fields)?;
    let (amount, status) = paid_back(&mut fields, currency)?;
    let mut lines = Vec::new();
    for line in fields.objects("refund_line_items") {
        lines.push(refund_line(line, currency)?);
    }
    let mut refund = Refund {
        id,
        platform_ids,
        test: shop.test,
        created_at: fields.time("created_at")?.map(timestamp),
        processed_at: fields.time("processed_at")?.map(timestamp),
        order_id: fields.id("order_id")?,
        amount,
        status: status.into(),
        note: fields.text("note"),
        total_shipping: listed(&mut fields, "refund_shipping_lines", "subtotal_amount", currency)?,
        total_tax: sum(&fields, "refund_line_items", lines.iter().filter_map(|line| line.total_tax.clone()))?,
        total_duties: price(&mut fields, "total_duties", currency)?,
        total_adjustment: listed(&mut fields, "order_adjustments", "amount", currency)?,
        lines,
        ..Refund::default()
    };
    drop(fields);
    refund.platform_fields = leftovers.into_fields(PLATFORM);
    Ok(refund)
}

/// What the refund's transactions gave back, and how far they came. The transactions stay under their own name.
fn paid_back(
    fields: &mut Fields<'_, '_>,
    currency: &Currency,
) -> Result<(Option<Money>, RefundStatus), NormalizeError> {
    let kept = fields.peek("transactions");
    let (mut amounts, mut pending, mut failed) = (Vec::new(), false, false);
    for mut transaction in fields.objects("transactions") {
        let stated = transaction.text("currency");
        let own = match stated.as_deref().map(Currency::parse) {
            Some(parsed) => parsed.map_err(|error| transaction.wrong("currency", error.to_string()))?,
            None => currency.clone(),
        };
        let is_refund = transaction.text("kind").as_deref() == Some("refund");
        match transaction.text("status").as_deref() {
            Some("success") if is_refund => amounts.extend(price(&mut transaction, "amount", &own)?),
            Some("pending") if is_refund => pending = true,
            Some("failure" | "error") if is_refund => failed = true,
            _ => {}
        }
    }
    if let Some(raw) = kept {
        fields.leave("transactions", raw);
    }
    let amount = sum(fields, "transactions", amounts)?;
    let status = match (pending, failed, &amount) {
        (true, _, _) => RefundStatus::Pending,
        (false, true, _) => RefundStatus::Failed,
        (false, false, Some(_)) => RefundStatus::Succeeded,
        (false, false, None) => RefundStatus::Unspecified,
    };
    Ok((amount, status))
}

fn refund_line(mut fields: Fields<'_, '_>, currency: &Currency) -> Result<RefundLine, NormalizeError> {
    let mut line = RefundLine {
        id: fields.id("id")?,
        line_item_id: fields.id("line_item_id")?,
        quantity: fields.read("quantity").unwrap_or_default(),
        subtotal: price(&mut fields, "subtotal", currency)?,
        total_tax: price(&mut fields, "total_tax", currency)?,
        restock: fields.word("restock_type", RESTOCK).unwrap_or_default().into(),
        location_id: fields.id("location_id")?,
        ..RefundLine::default()
    };
    if let Some(mut item) = fields.object("line_item") {
        // The item's own id is the more exact of the two.
        line.line_item_id = identity::optional(&mut item)?.map(|identity| identity.id).or(line.line_item_id);
        line.product_id = item.id("product_id")?;
        line.variant_id = item.id("variant_id")?;
        line.sku = item.text("sku");
        line.title = item.text("title");
    }
    Ok(line)
}

/// One amount of each object of a list, together. The list stays, because it says more.
fn listed(
    fields: &mut Fields<'_, '_>,
    list: &str,
    name: &str,
    currency: &Currency,
) -> Result<Option<Money>, NormalizeError> {
    let kept = fields.peek(list);
    let mut amounts = Vec::new();
    for mut item in fields.objects(list) {
        amounts.extend(price(&mut item, name, currency)?);
    }
    if let Some(raw) = kept {
        fields.leave(list, raw);
    }
    sum(fields, list, amounts)
}
