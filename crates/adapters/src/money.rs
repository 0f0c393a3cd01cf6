//! Exact amounts: decimal text or a platform's own smallest unit to the smallest unit of ISO 4217.

use thiserror::Error;
use trunkline_sdk::proto::types::v1::Money;

/// Currencies whose smallest unit is not a hundredth, by their number of decimals (ISO 4217, list one).
const DECIMALS: [(u32, &[&str]); 3] = [
    (
        0,
        &[
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV",
            "XAF", "XOF", "XPF",
        ],
    ),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
    (4, &["CLF", "UYW"]),
];

/// Why there is no exact amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum MoneyError {
    #[error("`{0}` is not a currency of three letters")]
    Currency(String),
    #[error("`{0}` is not a decimal number")]
    Malformed(String),
    #[error("`{amount}` is finer than the smallest unit of {currency}, and amounts are never rounded")]
    TooFine { amount: String, currency: String },
    #[error("`{0}` is more than fits in 64 bits")]
    TooLarge(String),
}

/// A currency's three capital letters; empty where a platform does not state it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Currency(String);

impl Currency {
    /// Three letters, in whatever case.
    pub(crate) fn parse(text: &str) -> Result<Self, MoneyError> {
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err(MoneyError::Currency(text.to_owned()))
        }
    }

    /// Where the platform does not state it; two decimals are assumed.
    pub(crate) fn unstated() -> Self {
        Self(String::new())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// How many decimals ISO 4217 counts.
    pub(crate) fn decimals(&self) -> u32 {
        let known = DECIMALS.iter().find(|(_, codes)| codes.contains(&self.as_str()));
        known.map_or(2, |(decimals, _)| *decimals)
    }

    /// The amount that decimal text states, such as `-12.50`.
    pub(crate) fn amount(&self, text: &str) -> Result<Money, MoneyError> {
        let malformed = || MoneyError::Malformed(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return Err(malformed());
        }
        let fraction = fraction.trim_end_matches('0');
        let decimals = self.decimals() as usize;
        if fraction.len() > decimals {
            return Err(MoneyError::TooFine { amount: text.to_owned(), currency: self.to_string() });
        }
        let sign = if negative { "-" } else { "" };
        let units = format!("{sign}{whole}{fraction:0<decimals$}");
        let minor_units = units.parse().map_err(|_overflow| MoneyError::TooLarge(text.to_owned()))?;
        Ok(self.units(minor_units))
    }

    /// An amount in a unit of so many `decimals` of the currency's main unit.
    pub(crate) fn scaled(&self, units: i64, decimals: u32) -> Result<Money, MoneyError> {
        let own = self.decimals();
        let minor_units = if own >= decimals {
            units
                .checked_mul(10_i64.pow(own - decimals))
                .ok_or_else(|| MoneyError::TooLarge(units.to_string()))?
        } else {
            let divisor = 10_i64.pow(decimals - own);
            if units % divisor != 0 {
                return Err(MoneyError::TooFine { amount: units.to_string(), currency: self.to_string() });
            }
            units / divisor
        };
        Ok(self.units(minor_units))
    }

    /// An amount in the currency's smallest unit.
    pub(crate) fn units(&self, minor_units: i64) -> Money {
        Money { currency: self.0.clone(), minor_units }
    }
}

impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "the unstated currency" } else { &self.0 })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, currency: &str, expected: Option<i64>) {
        let currency = Currency::parse(currency).unwrap();
        assert_eq!(currency.amount(text).ok().map(|money| money.minor_units), expected, "{text} {currency}");
    }

    #[test]
    fn decimal_text_becomes_minor_units_exactly() {
        check("19.99", "USD", Some(1999));
        check("0.07", "eur", Some(7));
        check("-5", "EUR", Some(-500));
        check("-0.05", "EUR", Some(-5));
        check("1.5", "EUR", Some(150));
        check("1.2300", "EUR", Some(123));
        check("007.10", "EUR", Some(710));
        check("1000", "JPY", Some(1000));
        check("1000.00", "JPY", Some(1000));
        check("1.234", "KWD", Some(1234));
        check("1.2345", "CLF", Some(12345));
        check("92233720368547758.07", "EUR", Some(i64::MAX));
        check("-92233720368547758.08", "EUR", Some(i64::MIN));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        check("0.005", "EUR", None);
        check("100.5", "JPY", None);
        check("1.2345", "KWD", None);
        check("92233720368547758.08", "EUR", None);
        for bad in ["", "-", ".", "1.", ".5", "1,5", "1e2", "+1", "--1", " 1", "1.2.3", "NaN", "١"] {
            check(bad, "EUR", None);
        }
        for bad in ["", "EU", "EURO", "€€€", "12A"] {
            assert!(Currency::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_unit_is_scaled_exactly() {
        let scaled = |code: &str, units, decimals| {
            Currency::parse(code).unwrap().scaled(units, decimals).ok().map(|money| money.minor_units)
        };
        assert_eq!(scaled("ISK", 4000, 2), Some(40));
        assert_eq!(scaled("ISK", 4010, 2), None);
        assert_eq!(scaled("MGA", 5, 0), Some(500));
        assert_eq!(scaled("MGA", i64::MAX, 0), None);
        assert_eq!(scaled("EUR", -7, 2), Some(-7));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_out_is_read_back(units: i64, code in "EUR|JPY|KWD|CLF", zeros in 0..3_usize) {
            let currency = Currency::parse(&code).unwrap();
            let decimals = currency.decimals() as usize;
            let sign = if units < 0 { "-" } else { "" };
            let digits = format!("{:0>width$}", units.unsigned_abs(), width = decimals + 1);
            let (whole, fraction) = digits.split_at(digits.len() - decimals);
            let text = format!("{sign}{whole}.{fraction}{}", "0".repeat(zeros + usize::from(decimals == 0)));
            proptest::prop_assert_eq!(currency.amount(&text), Ok(currency.units(units)));
        }

        #[test]
        fn no_text_is_a_panic(text: String) {
            proptest::prop_assert!(Currency::parse(&text).is_err() || text.len() == 3);
            Currency::unstated().amount(&text).ok();
        }
    }
}
