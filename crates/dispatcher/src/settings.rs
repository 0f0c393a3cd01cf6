//! The `dispatcher` section of the configuration. What concerns one destination stands with the destination.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

/// The `dispatcher` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DispatcherSettings {
    /// Where its health and metrics are served.
    pub admin: SocketAddr,
}

impl Default for DispatcherSettings {
    fn default() -> Self {
        Self { admin: SocketAddr::from(([127, 0, 0, 1], 9600)) }
    }
}
