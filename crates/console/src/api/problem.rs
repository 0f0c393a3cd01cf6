//! Every way the console says no.

use std::time::Duration;

use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::error;
use trunkline_sdk::config::Scope;
use trunkline_sdk::service::ProblemDetails;
use trunkline_sdk::store::StoreError;

/// When to come back while the store or the broker can't be had.
const SOON: Duration = Duration::from_secs(2);

/// A refusal.
#[derive(Debug, Clone)]
pub struct Problem(ProblemDetails);

impl Problem {
    /// 400: the request is not what it should be.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request can't be read", detail)
    }

    /// 401: no key, or one that is not configured.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "No valid key", detail)
    }

    /// 403: the key lacks the scope.
    pub fn forbidden(key: &str, scope: Scope) -> Self {
        let detail = format!(
            "Key `{key}` lacks the scope `{}`. Add it under console.keys, or use another key.",
            scope.as_str()
        );
        Self::new(StatusCode::FORBIDDEN, "forbidden", "The key lacks a scope", detail)
    }

    /// 403: a console without keys was called by another name than this machine's own.
    pub fn foreign_host() -> Self {
        let detail = "Without console.keys the console answers only to `localhost` and loopback addresses, so that no \
                      web page can use it by a name of its own. Call it by 127.0.0.1, or configure console.keys.";
        Self::new(StatusCode::FORBIDDEN, "foreign_host", "Not by this name", detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not there", detail)
    }

    /// 405: another method than the path takes.
    pub fn method(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Not with this method", detail)
    }

    /// 409: what is asked contradicts what is.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Not as things are", detail)
    }

    /// 500: an operator must look.
    pub fn damaged(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", "Something stored can't be read", detail)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let Self(details) = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now", detail);
        Self(details.retry_after(SOON))
    }

    fn new(status: StatusCode, reason: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(status, reason, title, detail))
    }

    /// What is wrong and what to do.
    pub fn detail(&self) -> &str {
        self.0.detail()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cursor(_) => {
                Self::malformed(format!("Query parameter `after`: {error}. Ask for the first page."))
            }
            StoreError::Conflict { .. } => Self::conflict(format!("{error}.")),
            StoreError::Damaged { .. } => {
                error!(%error, "the store holds something that can't be read");
                Self::damaged(format!("In the store: {error}. Restore a copy of it, or leave this out."))
            }
            StoreError::Refused(ref cause) => {
                error!(%error, %cause, "the store's database refuses a statement");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "store_refused",
                    "The store can't do this",
                    format!(
                        "{error}, and would again. The console's log has its words; look at the rights of the store's user."
                    ),
                )
            }
            error => {
                error!(%error, "the store did not answer the console");
                Self::unavailable(format!("The store does not answer: {error}. Try again."))
            }
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let detail = format!("The body: {}.", rejection.body_text().trim_end_matches('.'));
        match rejection.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body is not JSON",
                "Send the body as JSON, with `Content-Type: application/json`; `{}` where there is nothing to say.",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large", detail)
            }
            _ => Self::malformed(detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn answers(error: StoreError, status: StatusCode) {
        let problem = Problem::from(error);
        assert!(!problem.detail().contains("the database's own words"), "{}", problem.detail());
        assert_eq!(problem.into_response().status(), status);
    }

    #[test]
    fn only_what_passes_is_to_be_tried_again() {
        answers(StoreError::Unavailable("the database's own words".into()), StatusCode::SERVICE_UNAVAILABLE);
        answers(StoreError::Refused("the database's own words".into()), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
