//! The times that platforms sign.

use chrono::{DateTime, Utc};

use super::scheme::Unit;

/// The time of text in `unit`. Numbers are digits only: what one parser takes and another does not is refused.
pub(super) fn parse(text: &str, unit: Unit) -> Option<DateTime<Utc>> {
    let number = || {
        let digits = (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<i64>().ok()).flatten()
    };
    match unit {
        Unit::Seconds => DateTime::from_timestamp_secs(number()?),
        Unit::Milliseconds => DateTime::from_timestamp_millis(number()?),
        Unit::Rfc3339 => DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()),
    }
}
