//! Numbers compared exactly, whole or not.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A number in a pattern or in an event. Equal means numerically equal: `1` and `1.0` are, `2^53` and `2^53 + 1` are
/// not.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// Another number; never NaN.
    Float(f64),
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

impl Number {
    /// A number from a float; `None` for NaN. A float that is an `i64` becomes one, so that equal numbers have one form.
    pub fn from_float(float: f64) -> Option<Self> {
        if float.is_nan() {
            return None;
        }
        // In this range and without a fraction the conversion is exact.
        #[allow(clippy::cast_possible_truncation, reason = "checked by the condition")]
        Some(if float.trunc() == float && (-TWO_TO_63..TWO_TO_63).contains(&float) {
            Number::Integer(float as i64)
        } else {
            Number::Float(float)
        })
    }

    /// The bits that equal numbers, and no others, share.
    pub(crate) fn bits(self) -> (bool, u64) {
        match self {
            Number::Integer(integer) => (true, integer.cast_unsigned()),
            Number::Float(float) => (false, float.to_bits()),
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Number::Integer(a), Number::Integer(b)) => a.cmp(&b),
            (Number::Float(a), Number::Float(b)) => a.total_cmp(&b),
            (Number::Integer(a), Number::Float(b)) => compare(a, b),
            (Number::Float(a), Number::Integer(b)) => compare(b, a).reverse(),
        }
    }
}

/// Compares without rounding: the float is either out of the integers' range, or its whole part is one.
fn compare(integer: i64, float: f64) -> Ordering {
    if float >= TWO_TO_63 {
        return Ordering::Less;
    }
    if float < -TWO_TO_63 {
        return Ordering::Greater;
    }
    #[allow(clippy::cast_possible_truncation, reason = "in range by the two conditions above")]
    let whole = float.trunc() as i64;
    integer.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(float.fract() + 0.0)))
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Integer(integer) => integer.fmt(f),
            Number::Float(float) => float.fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn comparisons_never_round() {
        let float = |float: f64| Number::from_float(float).unwrap();
        let big = 9_007_199_254_740_993;
        assert_ne!(Number::Integer(big), Number::Integer(big - 1));
        assert!(Number::Integer(big) > float(9_007_199_254_740_992.0));
        assert_eq!(Number::Integer(1), float(1.0));
        assert_eq!(Number::Integer(0), float(-0.0));
        assert!(Number::Integer(1) < float(1.5));
        assert!(Number::Integer(-1) > float(-1.5));
        assert!(Number::Integer(i64::MAX) < float(TWO_TO_63));
        assert!(Number::Integer(i64::MIN) > float(-1e300));
        assert_eq!(Number::Integer(i64::MIN), float(-TWO_TO_63));
        assert_eq!(Number::from_float(f64::NAN), None);
    }
}
