//! What was taken off Shopify's orders: codes with what they took off, and applications with how it was reckoned.

use trunkline_sdk::proto::commerce::v1::{Discount, DiscountKind};
use trunkline_sdk::webhook::NormalizeError;

use super::price::price;
use crate::fields::Fields;
use crate::money::Currency;

const KINDS: &[(&str, DiscountKind)] = &[
    ("fixed_amount", DiscountKind::FixedAmount),
    ("percentage", DiscountKind::Percentage),
    ("shipping", DiscountKind::Shipping),
];

/// Reads `discount_codes` and `discount_applications`; an application of a code is told with its code.
pub(super) fn discounts(
    fields: &mut Fields<'_, '_>,
    currency: &Currency,
) -> Result<Vec<Discount>, NormalizeError> {
    let mut discounts = Vec::new();
    for mut code in fields.objects("discount_codes") {
        discounts.push(Discount {
            code: code.text("code"),
            kind: code.word("type", KINDS).unwrap_or_default().into(),
            amount: price(&mut code, "amount", currency)?,
            ..Discount::default()
        });
    }
    for mut application in fields.objects("discount_applications") {
        let code = application.text("code");
        let value = application.decimal("value")?;
        let kind = application.word("value_type", KINDS).unwrap_or_default();
        let told = discounts.iter_mut().find(|discount| code.is_some() && discount.code == code);
        match told {
            Some(discount) => {
                discount.value = value;
                if discount.kind() == DiscountKind::Unspecified {
                    discount.kind = kind.into();
                }
            }
            None => discounts.push(Discount {
                code,
                title: application.text("title"),
                kind: kind.into(),
                value,
                amount: None,
            }),
        }
    }
    Ok(discounts)
}
