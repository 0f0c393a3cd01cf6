//! The broker and the store behind their addresses in the configuration.

use std::sync::Arc;

use thiserror::Error;
use trunkline_broker::Broker;
use trunkline_store::{Store, StoreError};

use crate::config::{EngineKind, Shared, secret_reference};
use crate::secrets::{SecretError, Secrets};

#[cfg(feature = "embedded")]
pub(super) mod embedded;
#[cfg(feature = "kafka")]
pub(super) mod kafka;
#[cfg(feature = "rabbitmq")]
pub(super) mod rabbitmq;

/// Who opens a broker, and what for.
#[derive(Debug, Clone)]
pub struct BrokerClient {
    /// What the broker knows the client by, in its logs and tools: its own among all clients, the same after a restart.
    pub name: String,
    /// Whether hand-overs are transactions (Kafka). The client then has its name to itself: another one that opens with it
    /// takes over, and this one is fenced.
    pub transactional: bool,
}

/// Why a broker's engine can't be opened. Names the engine, never the whole address: it may hold a password.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The address names no engine.
    #[error(
        "`broker` must be embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST, but it begins with `{0}`"
    )]
    Unknown(String),
    /// The engine is not part of this build.
    #[error("this build has no {0} engine")]
    NotInBuild(&'static str),
    /// A part of the address is not understood.
    #[error("`broker`: {0}")]
    Option(String),
    /// The address, or something else about the broker, is a secret that can't be read.
    #[error("`broker`")]
    Secret(#[from] SecretError),
    /// Another client took this one's name (exit code 5).
    #[error("another instance took over")]
    Fenced,
    /// The engine does not open.
    #[error("the {engine} engine does not open")]
    Engine {
        /// Which one.
        engine: &'static str,
        /// Whether it may open later: a server that is not there yet.
        passes: bool,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Opens the engine behind a configuration's `broker`. Failures are counted in the metrics. `embedded:DIR` takes options:
/// `?max_bytes=10GiB` bounds it, `?accept_damage=true` opens a damaged one.
///
/// # Errors
/// [`OpenError`].
pub async fn open_broker(shared: &Shared, client: &BrokerClient) -> Result<Arc<dyn Broker>, OpenError> {
    let address = shared.broker.address(&shared.folder)?;
    match EngineKind::of(&address) {
        Ok(EngineKind::Embedded) => embedded(&address, shared).await,
        Ok(EngineKind::Kafka) => kafka(&address, shared, client).await,
        Ok(EngineKind::RabbitMq) => rabbitmq(&address, shared, client).await,
        Err(other) => Err(OpenError::Unknown(other.to_owned())),
    }
}

/// Why Kafka's client library can't use a property, in its words, which may repeat the value; `None` when it can, and in a
/// build without that engine. Asks no broker.
pub fn judge_property(name: &str, value: &str) -> Option<String> {
    #[cfg(feature = "kafka")]
    return trunkline_kafka::judge_property(name, value);
    #[cfg(not(feature = "kafka"))]
    {
        let _ = (name, value);
        None
    }
}

/// Opens the store of a configuration. A relative file starts at the configuration's folder.
///
/// # Errors
/// [`OpenStoreError`].
pub async fn open_store(shared: &Shared) -> Result<Store, OpenStoreError> {
    let url = store_url(shared)?;
    // A file is there or not; a server may be there later.
    let server = !url.starts_with("sqlite:");
    Store::open(&url).await.map_err(|cause| {
        let passes = server && matches!(cause, StoreError::Unavailable(_));
        OpenStoreError::Store { passes, cause }
    })
}

/// The address of the store, its secret and its folder filled in.
pub(super) fn store_url(shared: &Shared) -> Result<String, SecretError> {
    let url = match secret_reference(&shared.store) {
        Some(secret) => Secrets::in_folder(&shared.folder).read(&secret)?.expose().to_owned(),
        None => shared.store.clone(),
    };
    Ok(match url.strip_prefix("sqlite:") {
        Some(file) if !file.starts_with(':') && !file.starts_with('/') => {
            format!("sqlite:{}", shared.folder.join(file).display())
        }
        _ => url,
    })
}

/// Why the store can't be opened.
#[derive(Debug, Error)]
pub enum OpenStoreError {
    /// The address is a secret that can't be read.
    #[error("`store`")]
    Secret(#[from] SecretError),
    /// The store does not open.
    #[error("the store does not open")]
    Store {
        /// Whether it may open later.
        passes: bool,
        /// Why.
        #[source]
        cause: StoreError,
    },
}

#[cfg(feature = "embedded")]
async fn embedded(address: &str, shared: &Shared) -> Result<Arc<dyn Broker>, OpenError> {
    embedded::open(address.strip_prefix("embedded:").unwrap_or_default(), &shared.folder, &shared.channels)
        .await
}

#[cfg(not(feature = "embedded"))]
async fn embedded(_: &str, _: &Shared) -> Result<Arc<dyn Broker>, OpenError> {
    Err(OpenError::NotInBuild("embedded"))
}

#[cfg(feature = "kafka")]
async fn kafka(address: &str, shared: &Shared, client: &BrokerClient) -> Result<Arc<dyn Broker>, OpenError> {
    kafka::open(address, shared, client).await
}

#[cfg(not(feature = "kafka"))]
async fn kafka(_: &str, _: &Shared, _: &BrokerClient) -> Result<Arc<dyn Broker>, OpenError> {
    Err(OpenError::NotInBuild("kafka"))
}

#[cfg(feature = "rabbitmq")]
async fn rabbitmq(
    address: &str,
    shared: &Shared,
    client: &BrokerClient,
) -> Result<Arc<dyn Broker>, OpenError> {
    rabbitmq::open(address, shared, client).await
}

#[cfg(not(feature = "rabbitmq"))]
async fn rabbitmq(_: &str, _: &Shared, _: &BrokerClient) -> Result<Arc<dyn Broker>, OpenError> {
    Err(OpenError::NotInBuild("rabbitmq"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::BrokerSettings;

    #[track_caller]
    fn check(url: &str, expected: &str) {
        let root = trunkline_core::config::parse("t.yaml", "version: 1").unwrap();
        let mut diagnostics = trunkline_core::config::Diagnostics::new();
        let shared = Shared::read(root, std::path::Path::new("."), &mut diagnostics).unwrap();
        let shared = Shared { broker: BrokerSettings::of(url), ..shared };
        let client = BrokerClient { name: "test".to_owned(), transactional: false };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let Err(error) = runtime.block_on(open_broker(&shared, &client)) else { panic!("{url} opened") };
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn an_address_that_does_not_open_says_why_and_shows_no_password() {
        #[cfg(not(feature = "kafka"))]
        check("kafka://user:canary@host:9092", "this build has no kafka engine");
        #[cfg(not(feature = "rabbitmq"))]
        check("amqp://user:canary@host/vhost", "this build has no rabbitmq engine");
        check(
            "redis://user:canary@host",
            "`broker` must be embedded:DIR, kafka://HOST:PORT or amqp://HOST/VHOST, but it begins with `redis`",
        );
        check("${env:TRUNKLINE_NO_SUCH_VARIABLE}", "`broker`");
    }
}
