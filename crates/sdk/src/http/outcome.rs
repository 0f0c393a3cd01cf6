//! What an HTTP answer means for a delivery.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use trunkline_core::FailureClass;

/// How long to wait after a 429 without `Retry-After`.
pub const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What an HTTP answer means for a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx: taken.
    Delivered,
    /// Not taken.
    Failed(FailureClass),
    /// 410: the endpoint will never come back.
    Gone,
}

impl Outcome {
    /// Judges an answer that came in at `now`.
    ///
    /// | status | outcome |
    /// | --- | --- |
    /// | 2xx | delivered |
    /// | 429, and 503 with `Retry-After` | throttled; without `Retry-After` for [`DEFAULT_RETRY_AFTER`] |
    /// | 408, 425, other 5xx | transient |
    /// | 401, 403 | halted |
    /// | 410 | gone |
    /// | 1xx, 3xx, other 4xx | rejected: the same request will be answered the same |
    pub fn of(status: StatusCode, headers: &HeaderMap, now: DateTime<Utc>) -> Self {
        let asked = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| retry_after(text, now));
        Outcome::Failed(match (status.as_u16(), asked) {
            (200..=299, _) => return Outcome::Delivered,
            (410, _) => return Outcome::Gone,
            (429, asked) => FailureClass::Throttled { retry_after: asked.unwrap_or(DEFAULT_RETRY_AFTER) },
            (503, Some(retry_after)) => FailureClass::Throttled { retry_after },
            (408 | 425 | 500.., _) => FailureClass::Transient,
            (401 | 403, _) => FailureClass::Halted,
            _ => FailureClass::Rejected,
        })
    }
}

/// Reads a `Retry-After`: a number of seconds, or a date in one of the three forms of RFC 9110, as the time from `now`
/// until then (zero when it is past). `None` for anything else.
pub fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean longer than anybody waits; the retry policy cuts it.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some((date.and_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "1994-11-06T08:49:00Z".parse().unwrap()
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(retry_after(text, now()), seconds.map(Duration::from_secs), "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("99999999999999999999999", Some(u64::from(u32::MAX)));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(37));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(37));
        check("Sun Nov  6 08:49:37 1994", Some(37));
        check("Sun, 06 Nov 1994 08:48:00 GMT", Some(0));
        for bad in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994", "Sun, 31 Feb 1994 08:49:37 GMT"] {
            check(bad, None);
        }
    }

    #[track_caller]
    fn check(status: u16, header: Option<&str>, expected: Outcome) {
        let mut headers = HeaderMap::new();
        if let Some(value) = header {
            headers.insert(RETRY_AFTER, value.parse().unwrap());
        }
        assert_eq!(Outcome::of(StatusCode::from_u16(status).unwrap(), &headers, now()), expected, "{status}");
    }

    #[test]
    fn every_status_has_one_meaning() {
        use FailureClass::{Halted, Rejected, Throttled, Transient};
        let seconds = |seconds| Outcome::Failed(Throttled { retry_after: Duration::from_secs(seconds) });
        for status in [200, 201, 202, 204, 299] {
            check(status, None, Outcome::Delivered);
        }
        for status in [408, 425, 500, 501, 502, 503, 504, 507, 520, 599, 999] {
            check(status, None, Outcome::Failed(Transient));
        }
        for status in [100, 300, 301, 302, 303, 304, 307, 308, 400, 402, 404, 405, 409, 413, 415, 422, 451] {
            check(status, Some("3"), Outcome::Failed(Rejected));
        }
        check(401, None, Outcome::Failed(Halted));
        check(403, None, Outcome::Failed(Halted));
        check(410, None, Outcome::Gone);
        check(429, None, seconds(1));
        check(429, Some("7"), seconds(7));
        check(429, Some("Sun, 06 Nov 1994 08:49:37 GMT"), seconds(37));
        check(503, Some("9"), seconds(9));
        check(503, Some("soon"), Outcome::Failed(Transient));
    }
}
