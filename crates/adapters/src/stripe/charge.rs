//! Stripe's charges.

use trunkline_sdk::proto::payment::v1::{Charge, ChargeKind, ChargeStatus};
use trunkline_sdk::webhook::NormalizeError;

use super::method;
use super::parts::{amount, contact, currency, customer, identity, is_test, reference};
use crate::fields::{Fields, timestamp};

const STATUS: &[(&str, ChargeStatus)] = &[
    ("succeeded", ChargeStatus::Succeeded),
    ("pending", ChargeStatus::Pending),
    ("failed", ChargeStatus::Failed),
];

/// `charge.*`, disputes and refunds apart.
pub(super) fn charge(fields: &mut Fields<'_, '_>) -> Result<Charge, NormalizeError> {
    let (id, platform_ids) = identity(fields)?;
    let currency = currency(fields)?;
    let platform_status = fields.peek_text("status");
    let status = fields.word("status", STATUS).unwrap_or_default();
    let captured = fields.read("captured");
    let mut charge = Charge {
        id,
        platform_ids,
        metadata: fields.read("metadata").unwrap_or_default(),
        test: is_test(fields),
        created_at: fields.unix_time("created")?.map(timestamp),
        platform_status,
        amount: amount(fields, "amount", &currency)?,
        amount_captured: amount(fields, "amount_captured", &currency)?,
        amount_refunded: amount(fields, "amount_refunded", &currency)?,
        kind: kind(captured, status).into(),
        status: status.into(),
        captured,
        refunded: fields.read("refunded"),
        disputed: fields.read("disputed"),
        payment_id: reference(fields, "payment_intent"),
        invoice_id: reference(fields, "invoice"),
        dispute_id: reference(fields, "dispute"),
        customer: customer(fields),
        method: method::of_charge(fields),
        billing_address: contact(fields, "billing_details"),
        shipping_address: contact(fields, "shipping"),
        description: fields.text("description"),
        statement_descriptor: fields.text("statement_descriptor"),
        receipt_email: fields.text("receipt_email"),
        failure_code: fields.text("failure_code"),
        failure_message: fields.text("failure_message"),
        ..Charge::default()
    };
    if let Some(mut outcome) = fields.object("outcome") {
        charge.risk_level = outcome.text("risk_level");
        charge.risk_score = outcome.read("risk_score");
    }
    Ok(charge)
}

/// Stripe takes money in one go unless it was told to reserve it first.
fn kind(captured: Option<bool>, status: ChargeStatus) -> ChargeKind {
    match (captured, status) {
        (Some(true), _) => ChargeKind::Sale,
        (Some(false), ChargeStatus::Succeeded) => ChargeKind::Authorization,
        _ => ChargeKind::Unspecified,
    }
}
