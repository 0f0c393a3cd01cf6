//! The console's API: what operators, the command line and the pages ask and do.
//!
//! One table says every operation with its scope; the routes and the OpenAPI document are both made from it, so that
//! neither can have an operation that the other lacks.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use tokio::sync::{Notify, watch};
use trunkline_rules::RuleSet;
use trunkline_sdk::Adapters;
use trunkline_sdk::broker::Broker;
use trunkline_sdk::config::{KeyRing, Scope, Shared};
use trunkline_sdk::store::Store;

use crate::replay::render::Sources;
use crate::settings::ConsoleSettings;

mod account;
mod ask;
mod audit;
mod dead_letters;
mod destinations;
mod discard;
mod explain;
mod guard;
mod openapi;
mod page;
mod preview;
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
    /// Today's webhook sources.
    pub sources: Arc<ArcSwap<Sources>>,
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
    /// The longest record the channels take, in bytes.
    pub max_record: usize,
}

/// One operation of the API.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) scope: Scope,
    pub(crate) summary: &'static str,
    /// Names and meanings of what may be asked in the query; anything else is refused.
    pub(crate) query: &'static [(&'static str, &'static str)],
    /// An example of the body, as JSON; empty where there is none.
    pub(crate) body: &'static str,
    pub(crate) handler: fn() -> MethodRouter<Console>,
}

/// Every operation.
pub(crate) fn operations() -> Vec<Operation> {
    let mut operations = dead_letters::operations();
    operations.extend(discard::operations());
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

/// The routes: every operation behind its guard, and the page.
pub fn routes(console: Console) -> Router {
    let mut router = Router::new().route("/", get(page::page));
    for operation in operations() {
        let guarded = (console.clone(), guard::Rules { scope: operation.scope, query: operation.query });
        let guard = axum::middleware::from_fn_with_state(guarded, guard::guard);
        router = router.route(operation.path, (operation.handler)().route_layer(guard));
    }
    router
        .fallback(|| async { Problem::not_found("The API is described by /api/v1/openapi.json.") })
        .method_not_allowed_fallback(|| async {
            Problem::method("The API is described by /api/v1/openapi.json.")
        })
        .layer(axum::middleware::map_response(protect))
        .with_state(console)
}

/// What is answered is the operator's alone, and never anything else than it says.
async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
