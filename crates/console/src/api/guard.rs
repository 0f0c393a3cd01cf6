//! Who may pass to an operation, and with what query.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use trunkline_sdk::config::{AuthError, Caller, Scope};

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
    if keys.is_empty() && !meant_for_this_machine(request) {
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

/// Without keys everyone on this machine may do everything, and a web page in the operator's browser is on this machine
/// too. It can't choose the `Host` that its browser sends: a name of its own that leads here is not answered.
fn meant_for_this_machine(request: &Request) -> bool {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    host.is_some_and(is_loopback)
}

/// Whether `host`, with or without a port, names this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let name = name.to_ascii_lowercase();
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost"
        || name.ends_with(".localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every route is behind `guard`, which puts it there.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthenticated("No caller is known."))
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[track_caller]
    fn check(host: &str, expected: bool) {
        assert_eq!(is_loopback(host), expected, "{host:?}");
    }

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LOCALHOST:8090", "trunkline.localhost:1", "127.0.0.1:8090", "127.1.2.3"] {
            check(host, true);
        }
        for host in ["[::1]:8090", "[::1]", "[::ffff:127.0.0.1]"] {
            check(host, true);
        }
        for host in ["", ":8090", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
            check(host, false);
        }
        for host in ["10.0.0.1", "0.0.0.0:8090", "[fe80::1]:80", "evillocalhost", "[", "2130706433"] {
            check(host, false);
        }
    }
}
