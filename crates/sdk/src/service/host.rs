//! What every service is given.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{Broker, TopologyError};
use trunkline_store::Store;

use super::admin::Admin;
use super::broker::{BrokerClient, OpenError, OpenStoreError, open_broker, open_store};
use super::channels::{ensure, explained};
use super::exit::ServiceError;
use super::patience::patiently;
use super::reach::Reach;
use crate::config::Shared;
use crate::registry::Adapters;
use crate::secrets::Secrets;

/// What every service is given: one per process, cloned for each of its services.
#[derive(Clone)]
pub struct Host {
    /// The configuration at start.
    pub shared: Arc<Shared>,
    /// The configuration as it changes. Only a valid one comes through; its channels are ensured before.
    pub configuration: watch::Receiver<Arc<Shared>>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// The store.
    pub store: Store,
    /// The process's name.
    pub instance: String,
    /// The adapters the process knows.
    pub adapters: Adapters,
    /// Secrets of the service itself (its keys); adapters have their own, from [`Shared::context`].
    pub secrets: Secrets,
    /// Readiness, by the service's name.
    pub admin: Admin,
    /// Cancelled when the process is to stop.
    pub shutdown: CancellationToken,
    /// How long a service may take to settle what it has begun, once `shutdown` is cancelled.
    pub grace: Duration,
}

/// What a [`Host`] is opened with.
pub struct HostParts {
    /// The configuration as it changes; the value now is that of the start.
    pub configuration: watch::Receiver<Arc<Shared>>,
    /// The adapters the process knows.
    pub adapters: Adapters,
    /// Readiness.
    pub admin: Admin,
    /// The process's name.
    pub instance: String,
    /// What the process runs; with the process's name it is what the broker knows it by.
    pub service: String,
    /// Cancelled when the process is to stop.
    pub shutdown: CancellationToken,
    /// The grace period.
    pub grace: Duration,
    /// How long servers that are not there yet are waited for. See [`super::DEFAULT_WAIT`].
    pub wait: Duration,
}

impl Host {
    /// Opens the broker and the store of the configuration and ensures its channels. Servers that are not there yet are
    /// waited for.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] names what can't be had; [`ServiceError::Configuration`] what it differs from.
    pub async fn open(parts: HostParts) -> Result<Self, ServiceError> {
        let shared = parts.configuration.borrow().clone();
        let until = Instant::now() + parts.wait;
        let reach = Reach::of(&parts.service);
        let tell = |what: String| {
            reach.broker(false);
            parts.admin.waiting(&what);
        };
        let client = BrokerClient::of(&parts.instance, &parts.service);
        let broker = wait_for_broker(&shared, &client, until, tell).await?;
        let passes = |error: &TopologyError| {
            broker.capabilities().several_instances && matches!(error, TopologyError::Unavailable(_))
        };
        patiently("the broker", until, passes, tell, || ensure(&*broker, &shared))
            .await
            .map_err(|error| explained(error, &shared))?;
        reach.broker(true);
        let tell = |what: String| {
            reach.store(false);
            parts.admin.waiting(&what);
        };
        let passes = |error: &OpenStoreError| matches!(error, OpenStoreError::Store { passes: true, .. });
        let store = patiently("the store", until, passes, tell, || open_store(&shared))
            .await
            .map_err(|cause| ServiceError::unavailable("the store", cause))?;
        reach.store(true);
        Ok(Self {
            secrets: shared.secrets(),
            shared,
            configuration: parts.configuration,
            broker,
            store,
            instance: parts.instance,
            adapters: parts.adapters,
            admin: parts.admin,
            shutdown: parts.shutdown,
            grace: parts.grace,
        })
    }

    /// A broker of a service's own whose hand-overs are transactions, for `service` of this process.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`], [`ServiceError::Fenced`].
    pub async fn transactional_broker(&self, service: &str) -> Result<Arc<dyn Broker>, ServiceError> {
        let client = BrokerClient { transactional: true, ..BrokerClient::of(&self.instance, service) };
        // The broker was there a moment ago.
        let until = Instant::now() + Duration::from_secs(30);
        wait_for_broker(&self.shared, &client, until, |what| self.not_ready(service, what)).await
    }

    /// Tells that a service is ready.
    pub fn ready(&self, service: &str) {
        self.admin.ready(service);
    }

    /// Tells that a service is not ready, for a reason without secrets.
    pub fn not_ready(&self, service: &str, reason: impl Into<String>) {
        self.admin.not_ready(service, reason);
    }
}

impl BrokerClient {
    /// The client of a service in a process.
    pub fn of(instance: &str, service: &str) -> Self {
        Self { name: format!("{instance}-{service}"), transactional: false }
    }
}

async fn wait_for_broker(
    shared: &Shared,
    client: &BrokerClient,
    until: Instant,
    tell: impl Fn(String),
) -> Result<Arc<dyn Broker>, ServiceError> {
    let passes = |error: &OpenError| matches!(error, OpenError::Engine { passes: true, .. });
    let opened = patiently("the broker", until, passes, tell, || open_broker(shared, client));
    opened.await.map_err(|cause| match cause {
        OpenError::Fenced => ServiceError::Fenced,
        cause => ServiceError::unavailable("the broker", cause),
    })
}
