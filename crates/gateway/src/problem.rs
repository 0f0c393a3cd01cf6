//! Every way the gateway says no: problem details (RFC 9457) that name what is wrong and what to do.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use metrics::counter;
use trunkline_sdk::metric;
use trunkline_sdk::service::ProblemDetails;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(ProblemDetails);

impl Problem {
    fn new(status: StatusCode, reason: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(status, reason, title, detail))
    }

    /// 400: the request is not what it says it is.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request can't be read", detail)
    }

    /// 401 for the API: no key, or one that is not configured.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "No valid key", detail)
    }

    /// 401 for a webhook: its signature does not hold. Says no more than that to the caller.
    pub fn unsigned() -> Self {
        let detail = "The request is not signed by a secret of this source. Compare the secret configured here with the platform's; the gateway's log says which check failed.";
        Self::new(StatusCode::UNAUTHORIZED, "unsigned", "The signature does not hold", detail)
    }

    /// 403: the key lacks the scope.
    pub fn forbidden(key: &str, scope: &str) -> Self {
        let detail =
            format!("Key `{key}` lacks the scope `{scope}`. Add it under gateway.keys, or use another key.");
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The key lacks a scope", detail)
    }

    /// 403: a gateway without keys was called by another name than this machine's own.
    pub fn foreign_host() -> Self {
        let detail = "Without gateway.keys the gateway takes events only where it is called `localhost` or by a loopback address, so that no web page can publish by a name of its own. Call it by 127.0.0.1, or configure gateway.keys.";
        Self::new(StatusCode::FORBIDDEN, "foreign_host", "Not by this name", detail)
    }

    /// 404: no such source.
    pub fn unknown_source(name: &str) -> Self {
        let detail = format!("No webhook source `{}` is configured here.", name.escape_debug());
        Self::new(StatusCode::NOT_FOUND, "unknown_source", "No such source", detail)
    }

    /// 404: no such path.
    pub fn unknown_path() -> Self {
        let detail = "The gateway serves POST /v1/events and POST /hooks/{source}.";
        Self::new(StatusCode::NOT_FOUND, "unknown_path", "No such path", detail)
    }

    /// 405: another method than the path takes.
    pub fn method() -> Self {
        let detail = "The gateway serves POST /v1/events and POST /hooks/{source}.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Not with this method", detail)
    }

    /// 408: the body took too long.
    pub fn too_slow(limit: Duration) -> Self {
        let detail =
            format!("The body was not there within {} s (gateway.body_timeout).", limit.as_secs_f32());
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The request took too long", detail)
    }

    /// 413: the body, or an event in it, is too large.
    pub fn too_large(what: &str, limit: usize) -> Self {
        let detail = format!(
            "{what} is longer than {limit} bytes (gateway.max_body). Send less at once, or raise the limit."
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "Too large", detail)
    }

    /// 415: a content type or encoding the path does not take.
    pub fn unsupported(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", "Not in this form", detail)
    }

    /// 429: the caller is over its rate.
    pub fn too_many(retry_after: Duration) -> Self {
        let detail = "The caller is over gateway.rate_limit. Send again after the time in Retry-After.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate", "Too many requests", detail);
        Self(problem.0.retry_after(retry_after))
    }

    /// 503: nothing was accepted; the same request may be sent again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now", detail);
        Self(problem.0.retry_after(Duration::from_secs(2)))
    }

    /// 503: the broker has no room; nothing was accepted.
    pub fn full() -> Self {
        let detail = "The broker has no room for new events. Nothing was accepted; send again later, and tell the operator.";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "full", "No room", detail);
        Self(problem.0.retry_after(Duration::from_secs(10)))
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        counter!(metric::GATEWAY_REFUSED, "reason" => self.0.reason()).increment(1);
        self.0.into_response()
    }
}
