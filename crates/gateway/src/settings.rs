//! The `gateway` section of the configuration.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_sdk::config::KeyEntry;
use trunkline_sdk::core::config::{DurationSetting, Rate, SizeSetting};

/// The `gateway` section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewaySettings {
    /// Where the gateway listens.
    pub listen: SocketAddr,
    /// Where its health and metrics are served.
    pub admin: SocketAddr,
    /// Who may publish. Without any, the gateway binds loopback only.
    pub keys: Vec<KeyEntry>,
    /// The longest body of a request.
    pub max_body: SizeSetting,
    /// How long a client may take to send a request's headers.
    pub header_timeout: DurationSetting,
    /// How long a client may take to send a request's body.
    pub body_timeout: DurationSetting,
    /// Connections at once.
    pub max_connections: usize,
    /// Requests that wait for the broker at once; more are answered 503.
    pub max_waiting: usize,
    /// How long the broker may take to confirm before a request is answered 503.
    pub confirm_timeout: DurationSetting,
    /// How long an event's source and id are remembered to recognise a platform's re-send; `0s` for not at all.
    pub dedupe: DurationSetting,
    /// Requests per key (or per address, where there are no keys); none for no limit.
    pub rate_limit: Option<Rate>,
    /// The gateway's address as platforms see it (`https://bus.example.com`), for schemes that sign the URL.
    pub public_url: Option<String>,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9600)),
            keys: Vec::new(),
            max_body: SizeSetting(1024 * 1024),
            header_timeout: DurationSetting(Duration::from_secs(10)),
            body_timeout: DurationSetting(Duration::from_secs(30)),
            max_connections: 4096,
            max_waiting: 10_000,
            confirm_timeout: DurationSetting(Duration::from_secs(20)),
            dedupe: DurationSetting(Duration::from_secs(72 * 3600)),
            rate_limit: None,
            public_url: None,
        }
    }
}
