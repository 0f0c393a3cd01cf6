//! The router as a service: its settings, its start and stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::Deserialize;
use tracing::info;
use trunkline_sdk::broker::{Broker, ChannelName, ConsumeError, GroupName, Start};
use trunkline_sdk::core::config::Diagnostics;
use trunkline_sdk::service::{Host, ServiceError};

use crate::convert::Converter;
use crate::flow::{Flow, FlowError};
use crate::reload;

/// The `router` section of the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RouterSettings {
    /// Where its health and metrics are served.
    pub admin: SocketAddr,
    /// On Kafka: route in transactions, so that a crash of the router makes no delivery twice. Default `false`.
    pub exactly_once: bool,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self { admin: SocketAddr::from(([127, 0, 0, 1], 9600)), exactly_once: false }
    }
}

/// Runs the router until the host shuts down.
///
/// # Errors
/// [`ServiceError`]: subscriptions that do not compile, `events` that can't be consumed, work that was not settled in the
/// grace period, another instance that took over.
pub async fn run(host: Host, settings: RouterSettings) -> anyhow::Result<()> {
    let rules = reload::compile(&host.shared).map_err(|errors| {
        let mut diagnostics = Diagnostics::new();
        diagnostics.extend(errors);
        ServiceError::Configuration(diagnostics)
    })?;
    info!(version = rules.version(), subscriptions = rules.len(), "the router routes");
    let rules = Arc::new(ArcSwap::from_pointee(rules));
    let broker = broker(&host, &settings).await?;
    let consumed = broker.consume(&[ChannelName::events()], &GroupName::router(), Start::Oldest).await;
    let (intake, settler) = consumed.context("the channel `events` can't be consumed")?;
    let following =
        tokio::spawn(reload::follow(host.configuration.clone(), rules.clone(), host.shutdown.clone()));
    let converter = Converter {
        instance: host.instance.clone(),
        journey: host.shared.channels.journey,
        max_record: broker.capabilities().max_record.min(host.shared.channels.max_record),
    };
    let flow = Flow { intake, settler, converter: Arc::new(converter), rules, grace: host.grace };
    host.ready("router");
    let ended = flow.run(host.shutdown.clone()).await;
    following.abort();
    match ended {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(ServiceError::Unsettled("a batch of events; it is routed again at the next start".to_owned())
                .into())
        }
        Err(FlowError::Fenced | FlowError::Consume(ConsumeError::Fenced)) => Err(ServiceError::Fenced.into()),
        Err(error) => Err(error.into()),
    }
}

/// What the router consumes and hands over with: its own where hand-overs are to be transactions.
async fn broker(host: &Host, settings: &RouterSettings) -> anyhow::Result<Arc<dyn Broker>> {
    if !settings.exactly_once || host.broker.capabilities().atomic_hand_over {
        return Ok(host.broker.clone());
    }
    let broker = host.transactional_broker("router").await?;
    anyhow::ensure!(
        broker.capabilities().atomic_hand_over,
        "`router.exactly_once` needs Kafka: this broker's hand-overs are no transactions"
    );
    info!("events are routed in transactions");
    Ok(broker)
}
