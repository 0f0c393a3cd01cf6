//! Who may pass to an operation, and with what query.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use trunkline_sdk::config::{AuthError, Caller, Scope};
use trunkline_sdk::service::is_meant_for_this_machine;

use super::Console;
use super::ask::Asked;
use super::problem::Problem;

/// What an operation asks of a request.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) scope: Scope,
    pub(super) query: &'static [(&'static str, &'static str)],
}

/// Who is calling, for the audit log.
#[derive(Debug, Clone)]
pub(super) struct Who(pub(super) Caller);

/// Lets a request through when its key has the scope and its query is known; caller and query go with it.
pub(super) async fn guard(
    State((console, rules)): State<(Console, Rules)>,
    mut request: Request,
    next: Next,
) -> Response {
    match judge(&console, rules, &request) {
        Ok((who, asked)) => {
            request.extensions_mut().insert(who);
            request.extensions_mut().insert(asked);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn judge(console: &Console, rules: Rules, request: &Request) -> Result<(Who, Asked), Problem> {
    let keys = console.keys.load();
    if keys.is_empty() && !is_meant_for_this_machine(request.headers(), request.uri()) {
        return Err(Problem::foreign_host());
    }
    let header = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let caller = keys.authenticate(header).map_err(|error| match error {
        AuthError::Missing => {
            Problem::unauthenticated("Send `Authorization: Bearer KEY` with a key of console.keys.")
        }
        AuthError::Unknown => Problem::unauthenticated("The key is none of console.keys."),
    })?;
    if !caller.may(rules.scope) {
        return Err(Problem::forbidden(&caller.name, rules.scope));
    }
    Ok((Who(caller), Asked::read(request.uri().query().unwrap_or_default(), rules.query)?))
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every route is behind `guard`, which puts it there.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthenticated("No caller is known."))
    }
}
