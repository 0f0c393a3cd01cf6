//! What every service is given.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{Broker, Ensure};
use trunkline_store::Store;

use super::admin::Admin;
use super::broker::{open_broker, open_store};
use super::exit::ServiceError;
use crate::config::Shared;
use crate::registry::Adapters;
use crate::secrets::Secrets;
use crate::topology;

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
    /// Cancelled when the process is to stop.
    pub shutdown: CancellationToken,
    /// The grace period.
    pub grace: Duration,
}

impl Host {
    /// Opens the broker and the store of the configuration and ensures its channels.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] names what can't be had.
    pub async fn open(parts: HostParts) -> Result<Self, ServiceError> {
        let shared = parts.configuration.borrow().clone();
        let broker = open_broker(&shared.broker, &shared.folder, &shared.channels)
            .await
            .map_err(|cause| ServiceError::unavailable("the broker", cause))?;
        ensure_channels(&*broker, &shared).await?;
        let store = open_store(&shared).await?;
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

    /// Tells that a service is ready.
    pub fn ready(&self, service: &str) {
        self.admin.ready(service);
    }

    /// Tells that a service is not ready, for a reason without secrets.
    pub fn not_ready(&self, service: &str, reason: impl Into<String>) {
        self.admin.not_ready(service, reason);
    }
}

/// Ensures the channels of a configuration: at start, and before a changed configuration goes to the services.
///
/// # Errors
/// [`ServiceError::Unavailable`] names the channel that exists with other settings, or says that the broker can't be had.
pub async fn ensure_channels(broker: &dyn Broker, shared: &Shared) -> Result<(), ServiceError> {
    let specs = topology::channels(shared);
    let ensured = broker.ensure(&specs, Ensure::Create).await;
    ensured.map_err(|cause| ServiceError::unavailable("the broker's channels", cause))
}
