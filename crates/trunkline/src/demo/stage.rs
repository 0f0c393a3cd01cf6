//! The demo's stage: a folder with a configuration and secrets, free ports, and the platforms.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;
use tokio::net::TcpListener;
use uuid::Uuid;

use super::lodging::{Lodging, quoted};
use super::platforms::Platforms;
use crate::client::Api;

/// The sample that the demo runs with other ports.
const CONFIGURATION: &str = include_str!("../../../../deploy/demo.yaml");

const READY_WITHIN: Duration = Duration::from_secs(30);

/// Made anew for each demo.
pub(super) struct Secrets {
    pub(super) shop: String,
    pub(super) payments: String,
    pub(super) crm: String,
    pub(super) erp: String,
}

/// The stage; its folder is removed when it is dropped.
pub(super) struct Stage {
    folder: TempDir,
    /// Channels of its own on a broker that others use too.
    lodging: Option<Lodging>,
    pub(super) config: PathBuf,
    pub(super) gateway: SocketAddr,
    pub(super) console: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) secrets: Secrets,
    pub(super) platforms: Arc<Platforms>,
    pub(super) http: reqwest::Client,
}

impl Stage {
    /// Sets it up, with another broker where `broker` names one.
    pub(super) async fn set(broker: Option<&str>) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("trunkline-demo-").tempdir();
        let folder = folder.context("a temporary folder can't be made")?;
        let secrets = Secrets::generate();
        secrets.write(&folder.path().join("secrets")).context("the demo's secrets can't be written")?;
        let platforms = Arc::new(Platforms::new(&secrets)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no port is free")?;
        let platform = listener.local_addr()?;
        tokio::spawn(platforms.clone().serve(listener));
        let [gateway, console, admin] = free_ports().await.context("no port is free")?;
        let ledger = folder.path().join("ledger.jsonl");
        let mut text = CONFIGURATION
            .replace("127.0.0.1:8080", &gateway.to_string())
            .replace("127.0.0.1:8090", &console.to_string())
            .replace("127.0.0.1:9600", &admin.to_string())
            .replace("127.0.0.1:8070", &platform.to_string())
            .replace("./ledger.jsonl", &quoted(&ledger.display().to_string()));
        let lodging = broker.map(Lodging::new);
        if let Some(lodging) = &lodging {
            text = text.replace("broker: embedded:./data", &lodging.sections());
        }
        let config = folder.path().join("trunkline.yaml");
        std::fs::write(&config, text).context("the demo's configuration can't be written")?;
        // The environment's proxy is not for this machine's own addresses.
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { folder, lodging, config, gateway, console, admin, secrets, platforms, http })
    }

    /// Waits until every service is ready.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/readyz", self.admin);
        let asking = async {
            loop {
                match self.http.get(&url).send().await {
                    Ok(answer) if answer.status().is_success() => return,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(READY_WITHIN, asking)
            .await
            .context("the bus is not ready in time; TRUNKLINE_LOG=info shows why")
    }

    /// Leaves nothing behind on a broker that others use too. The bus has ended.
    pub(super) async fn clear(&self) {
        if let Some(lodging) = &self.lodging {
            lodging.clear(&self.config).await;
        }
    }

    /// The file that the `ledger` destination appends to.
    pub(super) fn ledger(&self) -> PathBuf {
        self.folder.path().join("ledger.jsonl")
    }

    /// The console's API.
    pub(super) fn api(&self) -> Api {
        Api::console(self.console.to_string())
    }
}

impl Secrets {
    fn generate() -> Self {
        let bytes = || [*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat();
        Self {
            shop: hex::encode(bytes()),
            payments: format!("whsec_{}", hex::encode(bytes())),
            crm: format!("whsec_{}", STANDARD.encode(bytes())),
            erp: hex::encode(bytes()),
        }
    }

    fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir(folder)?;
        let named =
            [("shop", &self.shop), ("payments", &self.payments), ("crm", &self.crm), ("erp", &self.erp)];
        named.into_iter().try_for_each(|(name, secret)| std::fs::write(folder.join(name), secret))
    }
}

/// Ports that nothing has, all different. They are below those that systems give to outgoing connections: such a connection
/// could take a port between now and the start of the service that is to listen there.
async fn free_ports<const N: usize>() -> std::io::Result<[SocketAddr; N]> {
    const FIRST: u16 = 10_000;
    const COUNT: u128 = 20_000;
    let mut held = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    let mut tries = 0;
    while held.len() < N {
        tries += 1;
        let random = u16::try_from(Uuid::new_v4().as_u128() % COUNT).unwrap_or_default();
        match TcpListener::bind((Ipv4Addr::LOCALHOST, FIRST + random)).await {
            Ok(listener) => {
                addresses[held.len()] = listener.local_addr()?;
                held.push(listener);
            }
            Err(error) if tries > 100 => return Err(error),
            Err(_taken) => {}
        }
    }
    Ok(addresses)
}
