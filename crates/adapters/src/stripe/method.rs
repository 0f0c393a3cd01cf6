//! What was paid with at Stripe.

use trunkline_sdk::proto::payment::v1::{CardFunding, PaymentMethod, PaymentMethodKind};

use super::parts::reference;
use crate::fields::Fields;

const KINDS: &[(&str, PaymentMethodKind)] = &[
    ("card", PaymentMethodKind::Card),
    ("card_present", PaymentMethodKind::Card),
    ("interac_present", PaymentMethodKind::Card),
    ("link", PaymentMethodKind::Wallet),
    ("paypal", PaymentMethodKind::Wallet),
    ("alipay", PaymentMethodKind::Wallet),
    ("wechat_pay", PaymentMethodKind::Wallet),
    ("cashapp", PaymentMethodKind::Wallet),
    ("amazon_pay", PaymentMethodKind::Wallet),
    ("revolut_pay", PaymentMethodKind::Wallet),
    ("sepa_debit", PaymentMethodKind::BankDebit),
    ("us_bank_account", PaymentMethodKind::BankDebit),
    ("bacs_debit", PaymentMethodKind::BankDebit),
    ("au_becs_debit", PaymentMethodKind::BankDebit),
    ("acss_debit", PaymentMethodKind::BankDebit),
    ("ideal", PaymentMethodKind::BankTransfer),
    ("bancontact", PaymentMethodKind::BankTransfer),
    ("eps", PaymentMethodKind::BankTransfer),
    ("p24", PaymentMethodKind::BankTransfer),
    ("blik", PaymentMethodKind::BankTransfer),
    ("customer_balance", PaymentMethodKind::BankTransfer),
    ("klarna", PaymentMethodKind::PayLater),
    ("affirm", PaymentMethodKind::PayLater),
    ("afterpay_clearpay", PaymentMethodKind::PayLater),
    ("oxxo", PaymentMethodKind::Voucher),
    ("boleto", PaymentMethodKind::Voucher),
    ("konbini", PaymentMethodKind::Voucher),
    ("multibanco", PaymentMethodKind::Voucher),
];

const FUNDING: &[(&str, CardFunding)] =
    &[("credit", CardFunding::Credit), ("debit", CardFunding::Debit), ("prepaid", CardFunding::Prepaid)];

/// The kind behind Stripe's word for it.
pub(super) fn kind(word: &str) -> PaymentMethodKind {
    KINDS.iter().find(|(known, _)| *known == word).map_or(PaymentMethodKind::Other, |(_, kind)| *kind)
}

/// Reads `payment_method` and `payment_method_details` of a charge.
pub(super) fn of_charge(fields: &mut Fields<'_, '_>) -> Option<PaymentMethod> {
    let id = reference(fields, "payment_method");
    let Some(mut details) = fields.object("payment_method_details") else {
        return id.map(|id| PaymentMethod { id: Some(id), ..PaymentMethod::default() });
    };
    let platform_kind = details.text("type");
    let mut method = PaymentMethod {
        id,
        kind: platform_kind.as_deref().map(kind).unwrap_or_default().into(),
        platform_kind: platform_kind.clone(),
        ..PaymentMethod::default()
    };
    let Some(mut own) = platform_kind.and_then(|kind| details.object(&kind)) else { return Some(method) };
    method.brand = own.text("brand");
    method.last4 = own.text("last4");
    method.expiry_month = own.read("exp_month");
    method.expiry_year = own.read("exp_year");
    method.funding = own.word("funding", FUNDING).unwrap_or_default().into();
    method.wallet = own.object("wallet").and_then(|mut wallet| wallet.text("type"));
    method.country_code = own.text("country");
    method.bank_name = own.text("bank_name").or_else(|| own.text("bank"));
    method.fingerprint = own.text("fingerprint");
    Some(method)
}
