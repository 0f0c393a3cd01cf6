//! What one alternative asks of one value.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::evaluate::leaf_text;
use super::number::Number;
use super::wildcard::Wildcard;
use trunkline_core::Value;

/// One alternative.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    /// This very value.
    Exact(Scalar),
    /// Text that begins so.
    Prefix(Affix),
    /// Text that ends so.
    Suffix(Affix),
    /// This text, upper or lower case.
    EqualsIgnoreCase(Affix),
    /// Text of this form.
    Wildcard(Wildcard),
    /// A number in this range.
    Numeric(Range),
    /// Whether the field is there.
    Exists(bool),
    /// A value to which none of these applies.
    AnythingBut(Vec<Operator>),
    /// An IP address, written as text, in this network.
    Cidr(IpNet),
}

/// A value of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Text.
    Text(Arc<str>),
    /// A number.
    Number(Number),
    /// A truth value.
    Boolean(bool),
    /// Null.
    Null,
}

/// Text to compare with, perhaps ignoring case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affix {
    text: Arc<str>,
    /// The text in lower case, where case is ignored.
    folded: Option<Box<[char]>>,
}

/// A range of numbers; the flag says whether the bound itself belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The lower bound.
    pub low: Option<(Number, bool)>,
    /// The upper bound.
    pub high: Option<(Number, bool)>,
}

impl Operator {
    /// Whether one value, which is no array, satisfies it. Objects and bytes satisfy nothing but `exists`.
    pub(crate) fn accepts(&self, value: &Value) -> bool {
        match self {
            Operator::Exists(wanted) => *wanted,
            Operator::Exact(scalar) => scalar.equals(value),
            Operator::Numeric(range) => Scalar::number(value).is_some_and(|number| range.contains(number)),
            Operator::AnythingBut(refused) => {
                let leaf = !matches!(value, Value::Object(_) | Value::Bytes(_) | Value::Array(_));
                leaf && !refused.iter().any(|operator| operator.accepts(value))
            }
            _ => leaf_text(value).is_some_and(|text| self.accepts_text(&text)),
        }
    }

    /// As [`Operator::accepts`], for text.
    pub(crate) fn accepts_text(&self, text: &str) -> bool {
        match self {
            Operator::Exact(Scalar::Text(wanted)) => &**wanted == text,
            Operator::Exact(_) | Operator::Numeric(_) => false,
            Operator::Prefix(affix) => affix.begins(text),
            Operator::Suffix(affix) => affix.ends(text),
            Operator::EqualsIgnoreCase(affix) => affix.equals(text),
            Operator::Wildcard(wildcard) => wildcard.matches(text),
            Operator::Exists(wanted) => *wanted,
            Operator::AnythingBut(refused) => !refused.iter().any(|operator| operator.accepts_text(text)),
            Operator::Cidr(network) => text.parse::<IpAddr>().is_ok_and(|address| network.contains(&address)),
        }
    }
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match self {
            Scalar::Text(wanted) => leaf_text(value).is_some_and(|text| **wanted == *text),
            Scalar::Number(wanted) => Self::number(value).as_ref() == Some(wanted),
            Scalar::Boolean(wanted) => matches!(value, Value::Boolean(truth) if truth == wanted),
            Scalar::Null => matches!(value, Value::Null),
        }
    }

    pub(crate) fn number(value: &Value) -> Option<Number> {
        match value {
            Value::Integer(integer) => Some(Number::Integer(*integer)),
            Value::Float(float) => Number::from_float(*float),
            _ => None,
        }
    }
}

impl Affix {
    pub(crate) fn new(text: Arc<str>, ignore_case: bool) -> Self {
        let folded = ignore_case.then(|| text.chars().flat_map(char::to_lowercase).collect());
        Self { text, folded }
    }

    /// The text as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text, where case counts.
    pub(crate) fn exact(&self) -> Option<&Arc<str>> {
        self.folded.is_none().then_some(&self.text)
    }

    fn begins(&self, text: &str) -> bool {
        match &self.folded {
            None => text.starts_with(&*self.text),
            Some(folded) => {
                let mut rest = text.chars().flat_map(char::to_lowercase);
                folded.iter().all(|wanted| rest.next() == Some(*wanted))
            }
        }
    }

    fn ends(&self, text: &str) -> bool {
        match &self.folded {
            None => text.ends_with(&*self.text),
            Some(folded) => {
                let mut rest = text.chars().rev().flat_map(|character| character.to_lowercase().rev());
                folded.iter().rev().all(|wanted| rest.next() == Some(*wanted))
            }
        }
    }

    fn equals(&self, text: &str) -> bool {
        match &self.folded {
            None => *self.text == *text,
            Some(folded) => text.chars().flat_map(char::to_lowercase).eq(folded.iter().copied()),
        }
    }
}

impl Range {
    fn contains(&self, number: Number) -> bool {
        self.low.is_none_or(|(low, included)| number > low || (included && number == low))
            && self.high.is_none_or(|(high, included)| number < high || (included && number == high))
    }

    /// Whether no number can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        match (self.low, self.high) {
            (Some((low, low_in)), Some((high, high_in))) => {
                low > high || (low == high && !(low_in && high_in))
            }
            _ => false,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operator::Exact(scalar) => scalar.fmt(f),
            Operator::Prefix(affix) => write!(f, "text beginning with {affix}"),
            Operator::Suffix(affix) => write!(f, "text ending with {affix}"),
            Operator::EqualsIgnoreCase(affix) => affix.fmt(f),
            Operator::Wildcard(wildcard) => write!(f, "text like {:?}", wildcard.as_str()),
            Operator::Numeric(range) => range.fmt(f),
            Operator::Exists(true) => f.write_str("any value"),
            Operator::Exists(false) => f.write_str("nothing"),
            Operator::AnythingBut(refused) => {
                f.write_str("anything but ")?;
                one_of(refused, f)
            }
            Operator::Cidr(network) => write!(f, "an address in {network}"),
        }
    }
}

/// Writes alternatives, joined by "or".
pub(super) fn one_of(operators: &[Operator], f: &mut impl fmt::Write) -> fmt::Result {
    const SHOWN: usize = 8;
    for (index, operator) in operators.iter().take(SHOWN).enumerate() {
        write!(f, "{}{operator}", if index == 0 { "" } else { " or " })?;
    }
    match operators.len().checked_sub(SHOWN) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, " or {more} more"),
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => write!(f, "{text:?}"),
            Scalar::Number(number) => number.fmt(f),
            Scalar::Boolean(truth) => truth.fmt(f),
            Scalar::Null => f.write_str("null"),
        }
    }
}

impl fmt::Display for Affix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.text, if self.folded.is_some() { " (case ignored)" } else { "" })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.low, self.high) {
            (Some((low, true)), Some((high, true))) if low == high => write!(f, "= {low}"),
            (Some((low, included)), high) => {
                write!(f, "{} {low}", if included { ">=" } else { ">" })?;
                match high {
                    Some((high, included)) => write!(f, " and {} {high}", if included { "<=" } else { "<" }),
                    None => Ok(()),
                }
            }
            (None, Some((high, included))) => write!(f, "{} {high}", if included { "<=" } else { "<" }),
            (None, None) => f.write_str("a number"),
        }
    }
}
