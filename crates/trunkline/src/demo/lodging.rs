//! The demo as a guest on somebody's broker: channels of its own while it lasts, none afterwards.

use std::path::Path;
use std::time::Duration;

use trunkline_core::config::Diagnostics;
use trunkline_sdk::broker::TopologyError;
use trunkline_sdk::config::{Shared, load};
use trunkline_sdk::service::{BrokerClient, ServiceError, open_broker};
use trunkline_sdk::topology;
use uuid::Uuid;

use crate::output;

/// How long removing the channels may take.
const CLEARED_WITHIN: Duration = Duration::from_secs(30);

/// A broker's address, and what the demo's channels there begin with.
pub(super) struct Lodging {
    broker: String,
    prefix: String,
}

impl Lodging {
    /// Demos neither meet each other's records nor anybody else's.
    pub(super) fn new(broker: &str) -> Self {
        let random = Uuid::new_v4().simple().to_string();
        Self { broker: broker.to_owned(), prefix: format!("demo-{}.", &random[..8]) }
    }

    /// The sections of the configuration.
    pub(super) fn sections(&self) -> String {
        format!("broker: {}\nchannels: {{ prefix: {} }}", quoted(&self.broker), quoted(&self.prefix))
    }

    /// Removes the channels of a configuration with these sections; says what to remove by hand where it can't.
    pub(super) async fn clear(&self, config: &Path) {
        let cleared = match tokio::time::timeout(CLEARED_WITHIN, remove_channels(config)).await {
            Ok(cleared) => cleared,
            Err(_elapsed) => Err(anyhow::anyhow!("the broker does not answer in time")),
        };
        if let Err(error) = cleared {
            let prefix = &self.prefix;
            output::line(&format!(
                "what begins with `{prefix}` stays on the broker and can be removed by hand: {error:#}"
            ));
        }
    }
}

async fn remove_channels(config: &Path) -> anyhow::Result<()> {
    let loaded = load(config).map_err(ServiceError::Configuration)?;
    let mut diagnostics = Diagnostics::new();
    let shared = Shared::read(loaded.root, &loaded.folder, &mut diagnostics);
    let shared = shared.ok_or(ServiceError::Configuration(diagnostics))?;
    let broker = open_broker(&shared, &BrokerClient::of("demo", "guest")).await?;
    let mut failed = None;
    for spec in topology::channels(&shared) {
        match broker.remove(&spec.name, true).await {
            // The bus may have ended before it made all of them.
            Ok(()) | Err(TopologyError::Missing(_)) => {}
            Err(error) => failed = Some(error),
        }
    }
    if failed.is_none() {
        failed = broker.clear().await.err();
    }
    broker.close().await;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

/// Text as JSON, which YAML contains.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
