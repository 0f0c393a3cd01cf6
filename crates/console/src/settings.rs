//! The `console` section of the configuration.

use std::net::SocketAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_sdk::config::KeyEntry;
use trunkline_sdk::core::config::DurationSetting;

/// The `console` section.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSettings {
    /// Where the console listens.
    pub listen: SocketAddr,
    /// Where its health and metrics are served.
    pub admin: SocketAddr,
    /// Who may look and act. Without any, the console binds loopback only.
    pub keys: Vec<KeyEntry>,
    /// How often one delivery may be replayed unless forced.
    pub max_replays: u32,
    /// How long journeys can be asked.
    pub journey_keep: DurationSetting,
    /// How long dead letters are kept that were delivered, discarded or became dead letters again.
    pub keep_settled: DurationSetting,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            admin: SocketAddr::from(([127, 0, 0, 1], 9600)),
            keys: Vec::new(),
            max_replays: 5,
            journey_keep: DurationSetting(Duration::from_secs(7 * 24 * 3600)),
            keep_settled: DurationSetting(Duration::from_secs(30 * 24 * 3600)),
        }
    }
}
