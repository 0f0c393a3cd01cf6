//! The serving process: the gateway or the limit, until the input ends.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{ChannelName, GroupName};
use trunkline_core::config::{Diagnostics, DurationSetting, parse};
use trunkline_embedded::EmbeddedBroker;
use trunkline_gateway::GatewaySettings;
use trunkline_sdk::Adapters;
use trunkline_sdk::config::Shared;
use trunkline_sdk::service::{Admin, Host, Metrics, open_store};

use super::bare;
use crate::engine;

/// What serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Door {
    /// The limit.
    Bare,
    /// The gateway as configured by default.
    Gateway,
    /// The gateway with `dedupe: 0s`.
    GatewayWithoutDedupe,
}

impl Door {
    /// As the command line calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Gateway => "gateway",
            Self::GatewayWithoutDedupe => "gateway-without-dedupe",
        }
    }
}

/// Serves with files in `folder` until the standard input ends. Calls `say` with the address, then at the end with how often
/// the disk was waited for.
///
/// # Errors
/// The engine's, the gateway's.
pub async fn serve(door: Door, folder: &Path, say: impl Fn(String)) -> anyhow::Result<()> {
    let (broker, disk) = engine::open(&folder.join("data"))?;
    let journey = (ChannelName::journey(), GroupName::console());
    engine::make(&broker, &[(ChannelName::events(), GroupName::router()), journey]).await?;
    let shutdown = CancellationToken::new();
    let guard = shutdown.clone().drop_guard();
    std::thread::spawn(move || {
        // An input that can't be read has ended too.
        drop(std::io::stdin().read(&mut [0]));
        drop(guard);
    });
    let before = disk.syncs();
    if door == Door::Bare {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        say(listener.local_addr()?.to_string());
        bare::serve(listener, Arc::new(broker.clone()), shutdown).await?;
    } else {
        gateway(door, folder, &broker, shutdown, &say).await?;
    }
    say((disk.syncs() - before).to_string());
    broker.close();
    Ok(())
}

async fn gateway(
    door: Door,
    folder: &Path,
    broker: &EmbeddedBroker,
    shutdown: CancellationToken,
    say: &impl Fn(String),
) -> anyhow::Result<()> {
    let root = parse("bench.yaml", "version: 1").map_err(|diagnostic| anyhow::anyhow!("{diagnostic}"))?;
    let shared =
        Shared::read(root, folder, &mut Diagnostics::new()).context("a configuration with nothing in it")?;
    let shared = Arc::new(shared);
    let (_configuration, seen) = watch::channel(shared.clone());
    let mut settings = GatewaySettings { listen: free_address().await?, ..GatewaySettings::default() };
    if door == Door::GatewayWithoutDedupe {
        settings.dedupe = DurationSetting(Duration::ZERO);
    }
    let admin = Admin::new(Metrics::install()?);
    let host = Host {
        store: open_store(&shared).await?,
        secrets: shared.secrets(),
        shared,
        configuration: seen,
        broker: Arc::new(broker.clone()),
        instance: "bench".to_owned(),
        adapters: Adapters::new(),
        admin,
        shutdown,
        grace: Duration::from_secs(5),
    };
    let address = settings.listen;
    let serving = tokio::spawn(trunkline_gateway::run(host, settings));
    while tokio::net::TcpStream::connect(address).await.is_err() {
        anyhow::ensure!(!serving.is_finished(), "the gateway ended at its start: {:?}", serving.await?);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    say(address.to_string());
    serving.await?
}

/// An address that was free a moment ago: the gateway binds by itself.
async fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?)
}
