//! The console's API: what operators, the command line and the pages ask and do.
//!
//! One table says every operation with its scope; the routes and the OpenAPI document are both made from it, so that
//! neither can have an operation that the other lacks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use tokio::sync::{Notify, watch};
use trunkline_rules::RuleSet;
use trunkline_sdk::Adapters;
use trunkline_sdk::broker::Broker;
use trunkline_sdk::config::{AuthError, Caller, KeyRing, Scope, Shared};
use trunkline_sdk::store::Store;

use crate::settings::ConsoleSettings;

mod account;
mod audit;
mod dead_letters;
mod destinations;
mod explain;
mod openapi;
mod page;
pub mod problem;
mod replays;
mod tail;
pub mod views;

use problem::Problem;

/// What every request works with.
#[derive(Clone)]
pub struct Console {
    /// Where lag is asked and channels are observed.
    pub broker: Arc<dyn Broker>,
    /// Where everything operators ask is stored.
    pub store: Store,
    /// The configuration of the moment.
    pub configuration: watch::Receiver<Arc<Shared>>,
    /// Today's rule set.
    pub rules: Arc<ArcSwap<RuleSet>>,
    /// For what would be sent.
    pub adapters: Adapters,
    /// Who may speak.
    pub keys: Arc<ArcSwap<KeyRing>>,
    /// Rung when a replay was made.
    pub bell: Arc<Notify>,
    /// The console's settings.
    pub settings: Arc<ConsoleSettings>,
    /// The process's name.
    pub instance: String,
}

/// One operation of the API.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) scope: Scope,
    pub(crate) summary: &'static str,
    /// Names and meanings of what may be asked in the query.
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// An example of the body, as JSON; empty where there is none.
    pub(crate) body: &'static str,
    pub(crate) handler: fn() -> MethodRouter<Console>,
}

/// Every operation.
pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = dead_letters::operations();
    operations.extend(replays::operations());
    operations.extend(destinations::operations());
    operations.extend(explain::operations());
    operations.extend(account::operations());
    operations.extend(audit::operations());
    operations.extend(tail::operations());
    operations.push(read("/api/v1/openapi.json", "This document", &[], || get(openapi::document)));
    operations
}

pub(crate) fn read(
    path: &'static str,
    summary: &'static str,
    query: &'static [(&'static str, &'static str)],
    handler: fn() -> MethodRouter<Console>,
) -> Operation {
    Operation { method: "get", path, scope: Scope::Read, summary, query, body: "", handler }
}

pub(crate) fn act(
    path: &'static str,
    summary: &'static str,
    body: &'static str,
    handler: fn() -> MethodRouter<Console>,
) -> Operation {
    Operation { method: "post", path, scope: Scope::Operate, summary, query: &[], body, handler }
}

/// The routes: every operation behind its scope, and the page.
pub fn routes(console: Console) -> Router {
    let mut router = Router::new().route("/", get(page::page));
    for operation in operations() {
        let guard = axum::middleware::from_fn_with_state((console.clone(), operation.scope), guard);
        router = router.route(operation.path, (operation.handler)().route_layer(guard));
    }
    router
        .fallback(|| async { Problem::not_found("The API is described by /api/v1/openapi.json.") })
        .method_not_allowed_fallback(|| async {
            Problem::method("The API is described by /api/v1/openapi.json.")
        })
        .with_state(console)
}

/// Lets a request through when its key has the scope; the caller goes with it.
async fn guard(
    State((console, scope)): State<(Console, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get(axum::http::header::AUTHORIZATION);
    let header = header.map(|value| value.to_str().unwrap_or_default());
    match console.keys.load().authenticate(header) {
        Ok(caller) if caller.may(scope) => {
            request.extensions_mut().insert(Who(caller));
            next.run(request).await
        }
        Ok(caller) => Problem::forbidden(&caller.name, scope).into_response(),
        Err(AuthError::Missing) => {
            Problem::unauthenticated("Send `Authorization: Bearer KEY` with a key of console.keys.")
                .into_response()
        }
        Err(AuthError::Unknown) => {
            Problem::unauthenticated("The key is none of console.keys.").into_response()
        }
    }
}

/// Who is calling, for the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Who(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every route is behind `guard`, which puts it there.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::unauthenticated("No caller is known."))
    }
}
