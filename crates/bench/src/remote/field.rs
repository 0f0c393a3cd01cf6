//! What one run works on: a configuration, and channels of its own with all events in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use trunkline_core::config::Diagnostics;
use trunkline_sdk::broker::Broker;
use trunkline_sdk::config::{JourneyMode, Shared, load};
use trunkline_sdk::service::{BrokerClient, ensure_channels, open_broker};
use trunkline_sdk::topology;

use super::Trial;
use super::ground::Ground;
use crate::place::Place;
use crate::rules::{one_type, section};
use crate::work::Work;

/// Removed from the broker by [`Field::clear`].
pub(super) struct Field {
    /// What the channels begin with.
    pub(super) prefix: String,
    /// The configuration's file.
    pub(super) configuration: PathBuf,
    shared: Shared,
    _folder: TempDir,
}

/// The configuration.
pub(super) fn text(
    trial: &Trial,
    ground: &Ground,
    prefix: &str,
    journey: JourneyMode,
) -> anyhow::Result<String> {
    let subscriptions = section(trial.subscriptions, one_type);
    let subscriptions: String = subscriptions.lines().map(|line| format!("  {line}\n")).collect();
    let journey = match journey {
        JourneyMode::All => "all",
        JourneyMode::Failures => "failures",
    };
    let admin = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    Ok(format!(
        "version: 1\nbroker: {}\nstore: \"{}\"\n\
         channels: {{ prefix: \"{prefix}\", partitions: 4, journey: {{ steps: {journey} }} }}\n\
         router: {{ admin: \"{admin}\", exactly_once: {} }}\n\
         destinations:\n  crm: {{ external: true }}\n\
         subscriptions:\n{subscriptions}",
        ground.broker(&trial.compression),
        ground.store(),
        trial.exactly_once,
    ))
}

impl Field {
    /// Makes the channels and fills them.
    pub(super) async fn lay(prefix: String, place: &Place, text: &str, work: &Work) -> anyhow::Result<Self> {
        let folder = place.fresh()?;
        let configuration = folder.path().join("trunkline.yaml");
        std::fs::write(&configuration, text)?;
        let field = Self { prefix, shared: read(&configuration)?, configuration, _folder: folder };
        let broker = field.open().await?;
        ensure_channels(&*broker, &field.shared).await?;
        work.fill(&*broker).await?;
        broker.close().await;
        Ok(field)
    }

    /// Leaves nothing on the broker.
    pub(super) async fn clear(&self) -> anyhow::Result<()> {
        let broker = self.open().await?;
        for channel in topology::channels(&self.shared) {
            broker.remove(&channel.name, true).await?;
        }
        broker.clear().await?;
        broker.close().await;
        Ok(())
    }

    async fn open(&self) -> anyhow::Result<Arc<dyn Broker>> {
        let client = BrokerClient { name: "bench".to_owned(), transactional: false };
        Ok(open_broker(&self.shared, &client).await?)
    }
}

fn read(path: &Path) -> anyhow::Result<Shared> {
    let said = |diagnostics: Diagnostics| {
        let said: Vec<String> = diagnostics.into_sorted().iter().map(ToString::to_string).collect();
        said.join("\n")
    };
    let loaded = match load(path) {
        Ok(loaded) => loaded,
        Err(diagnostics) => bail!("{}", said(diagnostics)),
    };
    let mut diagnostics = Diagnostics::new();
    let shared = Shared::read(loaded.root, &loaded.folder, &mut diagnostics);
    shared.with_context(|| said(diagnostics))
}
