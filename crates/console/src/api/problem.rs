//! Every way the console says no.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::error;
use trunkline_sdk::config::Scope;
use trunkline_sdk::service::ProblemDetails;
use trunkline_sdk::store::StoreError;

/// A refusal.
#[derive(Debug, Clone)]
pub struct Problem(ProblemDetails);

impl Problem {
    /// 400: the request is not what it should be.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(StatusCode::BAD_REQUEST, "malformed", "The request can't be read", detail))
    }

    /// 401: no key, or one that is not configured.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(StatusCode::UNAUTHORIZED, "unauthenticated", "No valid key", detail))
    }

    /// 403: the key lacks the scope.
    pub fn forbidden(key: &str, scope: Scope) -> Self {
        let detail = format!(
            "Key `{key}` lacks the scope `{}`. Add it under console.keys, or use another key.",
            scope.as_str()
        );
        Self(ProblemDetails::new(StatusCode::FORBIDDEN, "forbidden", "The key lacks a scope", detail))
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(StatusCode::NOT_FOUND, "not_found", "Not there", detail))
    }

    /// 405: another method than the path takes.
    pub fn method(detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(StatusCode::METHOD_NOT_ALLOWED, "method", "Not with this method", detail))
    }

    /// 409: what is asked contradicts what is.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(StatusCode::CONFLICT, "conflict", "Not as things are", detail))
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self(ProblemDetails::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now", detail))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cursor(_) => Self::malformed(format!("Query `after`: {error}.")),
            StoreError::Conflict { .. } => Self::conflict(error.to_string()),
            error => {
                error!(error = %error, "the store did not answer the console");
                Self::unavailable(format!("The store can't answer: {error}. Nothing was changed."))
            }
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self::malformed(format!("The body: {}.", rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::malformed(format!("The query: {}.", rejection.body_text()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
