//! Shopify's amounts: a decimal text in the shop's currency, a set that states it in two currencies, or both.

use trunkline_sdk::proto::types::v1::Money;
use trunkline_sdk::webhook::NormalizeError;

use crate::fields::Fields;
use crate::money::Currency;

/// Reads `NAME` and `NAME_set`: the amount in the shop's currency. What the set says besides (another amount for the
/// customer's currency) stays.
pub(super) fn price(
    fields: &mut Fields<'_, '_>,
    name: &str,
    currency: &Currency,
) -> Result<Option<Money>, NormalizeError> {
    amounts(fields, name, currency, false).map(|(shop, _presentment)| shop)
}

/// As [`price`], with the amount in the currency the customer saw beside it, which then does not stay.
pub(super) fn price_with_presentment(
    fields: &mut Fields<'_, '_>,
    name: &str,
    currency: &Currency,
) -> Result<(Option<Money>, Option<Money>), NormalizeError> {
    amounts(fields, name, currency, true)
}

fn amounts(
    fields: &mut Fields<'_, '_>,
    name: &str,
    currency: &Currency,
    wants_presentment: bool,
) -> Result<(Option<Money>, Option<Money>), NormalizeError> {
    let plain = fields.decimal(name)?;
    let (shop, presentment) = match fields.object(&format!("{name}_set")) {
        Some(set) => sides(set, plain.as_deref(), wants_presentment)?,
        None => (None, None),
    };
    let Some(text) = plain else { return Ok((shop, presentment)) };
    // The plain amount is in the shop's currency, which the set may be the only one to name.
    let named = shop.and_then(|money| Currency::parse(&money.currency).ok());
    let own = named.as_ref().unwrap_or(currency);
    let money = own.amount(&text).map_err(|error| fields.wrong(name, error.to_string()))?;
    Ok((Some(money), presentment))
}

/// Both amounts of a set. A side that says something the rest does not is left in it.
fn sides(
    mut set: Fields<'_, '_>,
    plain: Option<&str>,
    wants_presentment: bool,
) -> Result<(Option<Money>, Option<Money>), NormalizeError> {
    let kept = [set.peek("shop_money"), set.peek("presentment_money")];
    let shop = side(&mut set, "shop_money")?;
    let presentment = side(&mut set, "presentment_money")?;
    let differs = |money: &Money| {
        let own =
            Currency::parse(&money.currency).and_then(|currency| currency.amount(plain.unwrap_or_default()));
        plain.is_some() && own.as_ref() != Ok(money)
    };
    if let (Some(raw), true) = (kept[0], shop.as_ref().is_some_and(differs)) {
        set.leave("shop_money", raw);
    }
    if let (Some(raw), true) = (kept[1], !wants_presentment && presentment != shop) {
        set.leave("presentment_money", raw);
    }
    Ok((shop, presentment))
}

fn side(set: &mut Fields<'_, '_>, name: &str) -> Result<Option<Money>, NormalizeError> {
    let Some(mut side) = set.object(name) else { return Ok(None) };
    let (Some(amount), Some(code)) = (side.decimal("amount")?, side.text("currency_code")) else {
        return Ok(None);
    };
    parse(&side, "amount", &amount, &code).map(Some)
}

fn parse(fields: &Fields<'_, '_>, name: &str, amount: &str, code: &str) -> Result<Money, NormalizeError> {
    Currency::parse(code)
        .and_then(|currency| currency.amount(amount))
        .map_err(|error| fields.wrong(name, error.to_string()))
}

/// Amounts of one currency together; `None` for none.
pub(super) fn sum(
    fields: &Fields<'_, '_>,
    name: &str,
    amounts: impl IntoIterator<Item = Money>,
) -> Result<Option<Money>, NormalizeError> {
    let mut amounts = amounts.into_iter();
    let Some(mut total) = amounts.next() else { return Ok(None) };
    for amount in amounts {
        if amount.currency != total.currency {
            return Err(fields.wrong(name, "amounts of several currencies"));
        }
        total.minor_units = total
            .minor_units
            .checked_add(amount.minor_units)
            .ok_or_else(|| fields.wrong(name, "the amounts together are more than fits in 64 bits"))?;
    }
    Ok(Some(total))
}
