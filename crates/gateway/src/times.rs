//! How long requests take, by the route they took: a bounded label, whatever is asked for.

use metrics::{Histogram, histogram};
use trunkline_sdk::metric;

/// A histogram for each route, found once: looking one up costs more than recording in it.
#[derive(Clone)]
pub(crate) struct Times {
    events: Histogram,
    hooks: Histogram,
    none: Histogram,
}

impl Times {
    pub(crate) fn new() -> Self {
        let of = |route: &'static str| histogram!(metric::GATEWAY_REQUEST_DURATION, "route" => route);
        Self { events: of("events"), hooks: of("hooks"), none: of("none") }
    }

    /// That of a path.
    pub(crate) fn of(&self, path: &str) -> Histogram {
        match path {
            "/v1/events" => self.events.clone(),
            path if path.starts_with("/hooks/") => self.hooks.clone(),
            _ => self.none.clone(),
        }
    }
}
