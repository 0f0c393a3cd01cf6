//! Which dead letters are meant.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use trunkline_core::DeadLetterReason;

use super::{Contained, DeadLetterState};
use crate::dialect::Statement;
use crate::row::micros;
use crate::words::{self, ClassKind, Word};

/// Which dead letters are meant: those that fit everything given. The default means all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetterFilter {
    /// A destination's name, `router` or `gateway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// A subscription's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// An event's source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// An event's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// An event's type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What kind of thing died.
    #[serde(with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub contained: Option<Contained>,
    /// Why it died.
    #[serde(with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub reason: Option<DeadLetterReason>,
    /// Class of the last failure.
    #[serde(with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassKind>,
    /// Where it stands.
    #[serde(with = "words::optional", skip_serializing_if = "Option::is_none")]
    pub state: Option<DeadLetterState>,
    /// The platform's status code in the last attempt; 0 for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u32>,
    /// The whole cause, as a group has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Text that the detail or the event's id contains; letters of ASCII fit in either case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Died at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Died before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Dead letters by id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
}

impl DeadLetterFilter {
    /// These dead letters and no other.
    pub fn ids(ids: Vec<String>) -> Self {
        Self { ids: Some(ids), ..Self::default() }
    }
}

/// Appends ` WHERE ..` for `filter`, always with at least one condition, so that more can follow with ` AND`.
pub(crate) fn push_filter<'q>(query: &mut Statement<'q>, filter: &'q DeadLetterFilter) {
    query.push(" WHERE 1 = 1");
    push_equal(query, "channel", filter.destination.as_deref());
    push_equal(query, "subscription", filter.subscription.as_deref());
    push_equal(query, "source", filter.source.as_deref());
    push_equal(query, "event_id", filter.event_id.as_deref());
    push_equal(query, "event_type", filter.kind.as_deref());
    push_equal(query, "contents", filter.contained.map(Word::word));
    push_equal(query, "reason", filter.reason.map(Word::word));
    push_equal(query, "class", filter.class.map(Word::word));
    push_equal(query, "state", filter.state.map(Word::word));
    push_equal(query, "cause", filter.cause.as_deref());
    match filter.status {
        None => {}
        Some(0) => {
            query.push(" AND status IS NULL");
        }
        Some(status) => {
            query.push(" AND status = ").push_bind(i64::from(status));
        }
    }
    if let Some(since) = filter.since {
        query.push(" AND time >= ").push_bind(micros(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND time < ").push_bind(micros(until));
    }
    if let Some(text) = &filter.text {
        let pattern = containing(text);
        query.push(" AND (lower(detail) LIKE ").push_bind(pattern.clone()).push(" ESCAPE '\\'");
        query.push(" OR lower(event_id) LIKE ").push_bind(pattern).push(" ESCAPE '\\')");
    }
    if let Some(ids) = &filter.ids {
        query.push(" AND ").push_any_of("id", ids);
    }
}

fn push_equal<'q>(query: &mut Statement<'q>, column: &'static str, value: Option<&'q str>) {
    if let Some(value) = value {
        query.push(" AND ").push(column).push(" = ").push_bind(value);
    }
}

/// A LIKE pattern for texts that contain `text`, whose own `%` and `_` mean themselves.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c.to_ascii_lowercase());
    }
    pattern.push('%');
    pattern
}
