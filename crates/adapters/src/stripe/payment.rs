//! Stripe's payment intents.

use trunkline_sdk::proto::payment::v1::{CaptureMethod, Payment, PaymentMethod, PaymentStatus};
use trunkline_sdk::webhook::NormalizeError;

use super::method::kind;
use super::parts::{amount, contact, currency, customer, identity, is_test, reference};
use crate::fields::{Fields, timestamp};

const STATUS: &[(&str, PaymentStatus)] = &[
    ("requires_payment_method", PaymentStatus::RequiresPaymentMethod),
    ("requires_confirmation", PaymentStatus::RequiresConfirmation),
    ("requires_action", PaymentStatus::RequiresAction),
    ("processing", PaymentStatus::Processing),
    ("requires_capture", PaymentStatus::Authorized),
    ("succeeded", PaymentStatus::Succeeded),
    ("canceled", PaymentStatus::Cancelled),
];

const CAPTURE: &[(&str, CaptureMethod)] = &[
    ("automatic", CaptureMethod::Automatic),
    ("automatic_async", CaptureMethod::Automatic),
    ("manual", CaptureMethod::Manual),
];

/// `payment_intent.*`.
pub(super) fn payment(fields: &mut Fields<'_, '_>) -> Result<Payment, NormalizeError> {
    let (id, platform_ids) = identity(fields)?;
    let currency = currency(fields)?;
    let mut payment = Payment {
        id,
        platform_ids,
        metadata: fields.read("metadata").unwrap_or_default(),
        test: is_test(fields),
        created_at: fields.unix_time("created")?.map(timestamp),
        platform_status: fields.peek_text("status"),
        amount: amount(fields, "amount", &currency)?,
        amount_authorized: amount(fields, "amount_capturable", &currency)?,
        amount_captured: amount(fields, "amount_received", &currency)?,
        status: fields.word("status", STATUS).unwrap_or_default().into(),
        capture_method: fields.word("capture_method", CAPTURE).unwrap_or_default().into(),
        customer: customer(fields),
        method: method(fields),
        invoice_id: reference(fields, "invoice"),
        charge_ids: charge_ids(fields),
        description: fields.text("description"),
        statement_descriptor: fields.text("statement_descriptor"),
        receipt_email: fields.text("receipt_email"),
        shipping_address: contact(fields, "shipping"),
        cancel_reason: fields.text("cancellation_reason"),
        cancelled_at: fields.unix_time("canceled_at")?.map(timestamp),
        ..Payment::default()
    };
    if let Some(mut error) = fields.object("last_payment_error") {
        payment.failure_code = error.text("code");
        payment.decline_code = error.text("decline_code");
        payment.failure_message = error.text("message");
    }
    Ok(payment)
}

/// The chosen method; its kind is known only while one kind is possible.
fn method(fields: &mut Fields<'_, '_>) -> Option<PaymentMethod> {
    let id = reference(fields, "payment_method");
    let kinds: Vec<String> = fields.read("payment_method_types").unwrap_or_default();
    let platform_kind = match kinds.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    };
    (id.is_some() || platform_kind.is_some()).then(|| PaymentMethod {
        id,
        kind: platform_kind.as_deref().map(kind).unwrap_or_default().into(),
        platform_kind,
        ..PaymentMethod::default()
    })
}

/// `latest_charge`, or in versions of the API before it every charge of the list, which stays.
fn charge_ids(fields: &mut Fields<'_, '_>) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct List {
        data: Vec<Item>,
    }
    #[derive(serde::Deserialize)]
    struct Item {
        id: String,
    }
    let listed: Option<List> = fields.peek("charges").and_then(|raw| serde_json::from_str(raw.get()).ok());
    // Stripe lists the newest first.
    let mut ids: Vec<String> =
        listed.into_iter().flat_map(|list| list.data.into_iter().rev()).map(|item| item.id).collect();
    let latest = reference(fields, "latest_charge");
    ids.extend(latest.filter(|latest| !ids.contains(latest)));
    ids
}
