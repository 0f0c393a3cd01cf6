//! Stripe's payouts.

use trunkline_sdk::proto::payment::v1::{Payout, PayoutAccount, PayoutSpeed, PayoutStatus};
use trunkline_sdk::webhook::NormalizeError;

use super::parts::{amount, currency, identity, is_test, reference};
use crate::fields::{Fields, timestamp};

const STATUS: &[(&str, PayoutStatus)] = &[
    ("pending", PayoutStatus::Pending),
    ("in_transit", PayoutStatus::InTransit),
    ("paid", PayoutStatus::Paid),
    ("failed", PayoutStatus::Failed),
    ("canceled", PayoutStatus::Cancelled),
];

const SPEED: &[(&str, PayoutSpeed)] =
    &[("standard", PayoutSpeed::Standard), ("instant", PayoutSpeed::Instant)];

/// `payout.*`.
pub(super) fn payout(fields: &mut Fields<'_, '_>) -> Result<Payout, NormalizeError> {
    let (id, platform_ids) = identity(fields)?;
    let currency = currency(fields)?;
    let account = PayoutAccount {
        id: reference(fields, "destination"),
        kind: fields.text("type"),
        ..PayoutAccount::default()
    };
    Ok(Payout {
        id,
        platform_ids,
        metadata: fields.read("metadata").unwrap_or_default(),
        test: is_test(fields),
        created_at: fields.unix_time("created")?.map(timestamp),
        platform_status: fields.peek_text("status"),
        amount: amount(fields, "amount", &currency)?,
        status: fields.word("status", STATUS).unwrap_or_default().into(),
        speed: fields.word("method", SPEED).unwrap_or_default().into(),
        automatic: fields.read("automatic"),
        account: Some(account).filter(|account| *account != PayoutAccount::default()),
        arrival_at: fields.unix_time("arrival_date")?.map(timestamp),
        trace_id: fields.object("trace_id").and_then(|mut trace| trace.text("value")),
        description: fields.text("description"),
        statement_descriptor: fields.text("statement_descriptor"),
        failure_code: fields.text("failure_code"),
        failure_message: fields.text("failure_message"),
        original_payout_id: reference(fields, "original_payout"),
        ..Payout::default()
    })
}
