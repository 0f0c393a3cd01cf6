//! What a request says, read strictly: a query whose every parameter is known, a body that is JSON, a name in the path.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use trunkline_sdk::store::{DeadLetterFilter, Page};

use super::problem::Problem;

/// How many items a list has unless asked, and at most.
const LIMIT: (u32, u32) = (50, 500);

/// The parameters of every list.
pub(super) const PAGE: &[(&str, &str)] =
    &[("limit", "How many items, 1 to 500; 50 unless given"), ("after", "`next` of the page before")];

/// The parameters that mean dead letters: the members of [`DeadLetterFilter`].
pub(super) const FILTER: &[(&str, &str)] = &[
    ("destination", "A destination's name, `router` or `gateway`"),
    ("subscription", "A subscription's name"),
    ("source", "An event's source"),
    ("event_id", "An event's id"),
    ("type", "An event's type"),
    ("contained", "`delivery`, `webhook` or `malformed`"),
    ("reason", "Why it died, for example `rejected` or `attempts_exhausted`"),
    ("class", "`transient`, `throttled`, `rejected` or `halted`"),
    ("state", "`waiting`, `replaying`, `delivered`, `dead_again` or `discarded`"),
    ("status", "The platform's status code in the last attempt; 0 for none"),
    ("cause", "The cause, as a group has it"),
    ("text", "Text in the detail or the event's id"),
    ("since", "Died at this time (RFC 3339) or later"),
    ("until", "Died before this time (RFC 3339)"),
    ("ids", "Ids of dead letters, with commas between them"),
];

/// [`FILTER`] and [`PAGE`].
pub(super) const FILTERED_PAGE: [(&str, &str); FILTER.len() + PAGE.len()] = {
    let mut all = [("", ""); FILTER.len() + PAGE.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < FILTER.len() { FILTER[at] } else { PAGE[at - FILTER.len()] };
        at += 1;
    }
    all
};

/// The query: each parameter known to the operation, and given once.
#[derive(Debug, Clone)]
pub(super) struct Asked(BTreeMap<String, String>);

impl Asked {
    /// Reads a query of which `known` says the parameters.
    pub(super) fn read(query: &str, known: &[(&str, &str)]) -> Result<Self, Problem> {
        let mut asked = BTreeMap::new();
        for (name, text) in pairs(query)? {
            if !known.iter().any(|(known, _)| *known == name) {
                let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(Problem::malformed(format!(
                    "Query parameter `{}` is not known here; known: {known}.",
                    name.escape_debug()
                )));
            }
            if let Some((name, _)) = asked.remove_entry(&name) {
                return Err(Problem::malformed(format!("Query parameter `{name}` is given twice.")));
            }
            asked.insert(name, text);
        }
        Ok(Self(asked))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter as something that text can be; `what` says what, with its article.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        let parsed = self.text(name).map(|text| text.parse().map_err(|_| invalid(name, text, what)));
        parsed.transpose()
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<DateTime<Utc>>, Problem> {
        const WHAT: &str = "a time such as `2026-01-31T12:00:00Z`";
        let parsed = self.text(name).map(|text| {
            let time = DateTime::parse_from_rfc3339(text);
            time.map(|time| time.to_utc()).map_err(|_| invalid(name, text, WHAT))
        });
        parsed.transpose()
    }

    pub(super) fn limit(&self) -> Result<u32, Problem> {
        let what = format!("a number from 1 to {}", LIMIT.1);
        match self.parsed("limit", &what)? {
            None => Ok(LIMIT.0),
            Some(limit) if (1..=LIMIT.1).contains(&limit) => Ok(limit),
            Some(limit) => Err(invalid("limit", &limit.to_string(), &what)),
        }
    }

    pub(super) fn page(&self) -> Result<Page, Problem> {
        Ok(Page { limit: self.limit()?, after: self.text("after").map(str::to_owned) })
    }

    /// The dead letters that are meant; see [`FILTER`].
    pub(super) fn filter(&self) -> Result<DeadLetterFilter, Problem> {
        let mut members = Map::new();
        for (name, _) in FILTER {
            let Some(text) = self.text(name) else { continue };
            let value = match *name {
                "status" => self.parsed::<u32>(name, "a number")?.into(),
                "ids" => text.split(',').collect::<Vec<_>>().into(),
                "since" | "until" => self.time(name)?.map(|time| time.to_rfc3339()).into(),
                _ => Value::from(text),
            };
            // Each by itself first, so that the error says which.
            let alone = Value::Object(Map::from_iter([((*name).to_owned(), value.clone())]));
            serde_json::from_value::<DeadLetterFilter>(alone)
                .map_err(|error| Problem::malformed(format!("Query parameter `{name}`: {error}.")))?;
            members.insert((*name).to_owned(), value);
        }
        serde_json::from_value(Value::Object(members))
            .map_err(|error| Problem::malformed(format!("The query: {error}.")))
    }
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let unreadable = |error: &dyn Display| Problem::malformed(format!("The query can't be read: {error}."));
    let uri = Uri::builder().path_and_query(format!("/?{query}")).build();
    let uri = uri.map_err(|error| unreadable(&error))?;
    Query::try_from_uri(&uri).map(|Query(pairs)| pairs).map_err(|error| unreadable(&error))
}

fn invalid(name: &str, text: &str, what: &str) -> Problem {
    Problem::malformed(format!("Query parameter `{name}`: `{}` is not {what}.", text.escape_debug()))
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every route is behind `guard`, which puts it there.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::malformed("The query was not read."))
    }
}

/// The body of an action: JSON that says so. A web page can't send that content type to another site unasked, so that
/// no page acts in an operator's name.
pub(super) struct Act<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Act<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body: Result<Json<T>, JsonRejection> = Json::from_request(request, state).await;
        Ok(Self(body?.0))
    }
}

/// The body of an action that has nothing to say: `{}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// The id or name in the path.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name))
            .map_err(|rejection| Problem::malformed(format!("The path: {}.", rejection.body_text())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Asked, Problem> {
        Asked::read(query, &FILTERED_PAGE)
    }

    #[track_caller]
    fn refused(query: &str, why: &str) {
        let problem = match read(query).and_then(|asked| asked.page().and_then(|_| asked.filter())) {
            Ok(filter) => panic!("{query} is taken for {filter:?}"),
            Err(problem) => problem.detail().to_owned(),
        };
        assert!(problem.contains(why), "{query}: {problem}");
    }

    #[test]
    fn every_member_of_a_filter_can_be_asked() {
        let query = "destination=crm&subscription=s&source=shop&event_id=1&type=t&contained=delivery&reason=rejected\
                     &class=transient&state=waiting&status=503&cause=c%20%23&text=%25&since=2026-01-01T00:00:00Z\
                     &until=2026-01-02T00:00:00%2B01:00&ids=a,b&limit=7&after=x";
        let asked = read(query).unwrap();
        let filter = serde_json::to_value(asked.filter().unwrap()).unwrap();
        let members = filter.as_object().unwrap();
        assert_eq!(members.len(), FILTER.len());
        for (name, _) in FILTER {
            assert!(members.contains_key(*name), "{name} is lost");
        }
        assert_eq!((&filter["until"], &filter["ids"][1]), (&"2026-01-01T23:00:00Z".into(), &"b".into()));
        assert_eq!(asked.page().unwrap(), Page { limit: 7, after: Some("x".to_owned()) });
        assert_eq!(read("").unwrap().page().unwrap(), Page::first(50));
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused("destinaton=crm", "`destinaton` is not known here; known: destination, subscription");
        refused("state=waiting&state=delivered", "`state` is given twice");
        refused("state=asleep", "`state`: `asleep` is no state of a dead letter; it is one of waiting,");
        refused("status=many", "`status`: `many` is not a number");
        refused("limit=0", "`limit`: `0` is not a number from 1 to 500");
        refused("limit=501", "1 to 500");
        refused("limit=-1", "1 to 500");
        refused("since=yesterday", "`since`: `yesterday` is not a time such as");
        refused("%1b%5b31m=1", r"`\u{1b}[31m`");
    }
}
