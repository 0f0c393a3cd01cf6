//! Stripe's disputes.

use trunkline_sdk::proto::payment::v1::{Dispute, DisputeReason, DisputeStage, DisputeStatus, Fee};
use trunkline_sdk::proto::types::v1::Money;
use trunkline_sdk::webhook::NormalizeError;

use super::parts::{amount, currency, identity, is_test, reference};
use crate::fields::{Fields, timestamp};

/// A status that begins with `warning_` is a question that may become a dispute.
const STATUS: &[(&str, (DisputeStatus, DisputeStage))] = &[
    ("warning_needs_response", (DisputeStatus::NeedsResponse, DisputeStage::Inquiry)),
    ("warning_under_review", (DisputeStatus::UnderReview, DisputeStage::Inquiry)),
    ("warning_closed", (DisputeStatus::Withdrawn, DisputeStage::Inquiry)),
    ("needs_response", (DisputeStatus::NeedsResponse, DisputeStage::Chargeback)),
    ("under_review", (DisputeStatus::UnderReview, DisputeStage::Chargeback)),
    ("won", (DisputeStatus::Won, DisputeStage::Chargeback)),
    ("lost", (DisputeStatus::Lost, DisputeStage::Chargeback)),
];

const REASON: &[(&str, DisputeReason)] = &[
    ("bank_cannot_process", DisputeReason::ProcessingError),
    ("check_returned", DisputeReason::Other),
    ("credit_not_processed", DisputeReason::CreditNotProcessed),
    ("customer_initiated", DisputeReason::Other),
    ("debit_not_authorized", DisputeReason::Fraudulent),
    ("duplicate", DisputeReason::Duplicate),
    ("fraudulent", DisputeReason::Fraudulent),
    ("general", DisputeReason::Other),
    ("incorrect_account_details", DisputeReason::ProcessingError),
    ("insufficient_funds", DisputeReason::Other),
    ("product_not_received", DisputeReason::NotReceived),
    ("product_unacceptable", DisputeReason::NotAsDescribed),
    ("subscription_canceled", DisputeReason::ContractCancelled),
    ("unrecognized", DisputeReason::Unrecognized),
];

/// `charge.dispute.*`.
pub(super) fn dispute(fields: &mut Fields<'_, '_>) -> Result<Dispute, NormalizeError> {
    let (id, platform_ids) = identity(fields)?;
    let currency = currency(fields)?;
    let platform_status = fields.peek_text("status");
    let (status, stage) = fields.word("status", STATUS).unwrap_or_default();
    let fees = fees(fields)?;
    let mut dispute = Dispute {
        id,
        platform_ids,
        metadata: fields.read("metadata").unwrap_or_default(),
        test: is_test(fields),
        created_at: fields.unix_time("created")?.map(timestamp),
        platform_status,
        amount: amount(fields, "amount", &currency)?,
        fee: total(&fees),
        fees,
        status: status.into(),
        stage: stage.into(),
        platform_reason: fields.peek_text("reason"),
        reason: fields.word("reason", REASON).unwrap_or_default().into(),
        network_reason_code: fields.text("network_reason_code"),
        charge_id: reference(fields, "charge"),
        payment_id: reference(fields, "payment_intent"),
        refundable: fields.read("is_charge_refundable"),
        ..Dispute::default()
    };
    if let Some(mut details) = fields.object("payment_method_details")
        && let Some(mut card) = details.object("card")
    {
        dispute.network = card.text("brand");
        dispute.network_reason_code =
            dispute.network_reason_code.or_else(|| card.text("network_reason_code"));
    }
    if let Some(mut evidence) = fields.object("evidence_details") {
        dispute.evidence_due_at = evidence.unix_time("due_by")?.map(timestamp);
        dispute.evidence_submitted = evidence.read("submission_count").map(|count: i64| count > 0);
    }
    Ok(dispute)
}

/// The fees in the balance transactions, which stay under their own name.
fn fees(fields: &mut Fields<'_, '_>) -> Result<Vec<Fee>, NormalizeError> {
    let kept = fields.peek("balance_transactions");
    let mut fees = Vec::new();
    for mut transaction in fields.objects("balance_transactions") {
        for mut detail in transaction.objects("fee_details") {
            let currency = currency(&mut detail)?;
            fees.push(Fee {
                kind: detail.text("type"),
                description: detail.text("description"),
                amount: amount(&mut detail, "amount", &currency)?,
            });
        }
    }
    if let Some(raw) = kept {
        fields.leave("balance_transactions", raw);
    }
    Ok(fees)
}

/// The fees together, where they are in one currency.
fn total(fees: &[Fee]) -> Option<Money> {
    let mut amounts = fees.iter().filter_map(|fee| fee.amount.as_ref());
    let first = amounts.next()?.clone();
    amounts.try_fold(first, |total, amount| {
        let minor_units = total.minor_units.checked_add(amount.minor_units)?;
        (total.currency == amount.currency).then_some(Money { minor_units, ..total })
    })
}
