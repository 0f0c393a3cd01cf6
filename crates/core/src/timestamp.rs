//! Times between chrono and protobuf, inside the range both sides know: years 1 to 9999.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

/// The time of a protobuf `Timestamp`; `None` outside the range its specification permits.
pub(crate) fn from_parts(seconds: i64, nanos: i32) -> Option<DateTime<Utc>> {
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    DateTime::from_timestamp(seconds, nanos).filter(|time| (1..=9999).contains(&time.year()))
}

/// Seconds and nanoseconds of a protobuf `Timestamp`. A leap second becomes the second after it, because protobuf has
/// no word for it.
pub(crate) fn parts(time: DateTime<Utc>) -> (i64, i32) {
    let nanos = time.timestamp_subsec_nanos();
    let (carry, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    // Less than a thousand million always fits.
    (time.timestamp() + i64::from(carry), i32::try_from(nanos).unwrap_or_default())
}

/// The time of RFC 3339 text, as far as protobuf can say it.
pub(crate) fn from_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = parts(DateTime::parse_from_rfc3339(text).ok()?.to_utc());
    from_parts(seconds, nanos)
}

/// RFC 3339 in UTC with `Z`, with as many digits of a second as it needs (0, 3, 6 or 9).
pub(crate) fn to_rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

pub(crate) fn to_proto(time: DateTime<Utc>) -> prost_types::Timestamp {
    let (seconds, nanos) = parts(time);
    prost_types::Timestamp { seconds, nanos }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn leap_seconds_and_years_out_of_range() {
        let leap = from_rfc3339("2016-12-31T23:59:60.5Z").unwrap();
        assert_eq!(to_rfc3339(leap), "2017-01-01T00:00:00.500Z");
        assert_eq!(from_rfc3339("0000-12-31T23:59:59Z"), None);
        assert_eq!(from_parts(253_402_300_800, 0), None);
        assert_eq!(from_parts(0, 1_000_000_000), None);
        assert_eq!(from_parts(0, -1), None);
        assert_eq!(from_rfc3339("2024-02-30T00:00:00Z"), None);
    }
}
