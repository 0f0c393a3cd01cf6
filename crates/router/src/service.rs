//! The router as a service: its settings, its start and stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use schemars::JsonSchema;
use serde::Deserialize;
use tracing::{error, info};
use trunkline_rules::RuleSet;
use trunkline_sdk::broker::{Broker, ChannelName, ConsumeError, GroupName, Start};
use trunkline_sdk::core::config::Diagnostics;
use trunkline_sdk::service::{Host, Pauses, ServiceError};

use crate::convert::Converter;
use crate::flow::{Flow, FlowError};
use crate::{measure, reload};

/// How long saying goodbye to the broker may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
    measure::begin();
    info!(version = rules.version(), subscriptions = rules.len(), "the router routes");
    let rules = Arc::new(ArcSwap::from_pointee(rules));
    let broker = broker(&host, &settings).await?;
    let following =
        tokio::spawn(reload::follow(host.configuration.clone(), rules.clone(), host.shutdown.clone()));
    let ended = route(&host, &*broker, rules).await;
    following.abort();
    if settings.exactly_once {
        // Its own; others take over at once. A broker that is away must not keep the process from ending.
        drop(tokio::time::timeout(LAST_WORDS, broker.close()).await);
    }
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

/// Routes until the host shuts down. An intake that ended is opened again: what was not settled comes again.
async fn route(host: &Host, broker: &dyn Broker, rules: Arc<ArcSwap<RuleSet>>) -> Result<bool, FlowError> {
    let converter = Arc::new(Converter {
        instance: host.instance.clone(),
        journey: host.shared.channels.journey,
        max_record: broker.capabilities().max_record.min(host.shared.channels.max_record),
    });
    let mut pauses = Pauses::of_hand_over();
    loop {
        let (converter, rules) = (converter.clone(), rules.clone());
        let routed = async {
            let channels = [ChannelName::events()];
            let consumed = broker.consume(&channels, &GroupName::router(), Start::Oldest).await;
            let (intake, settler) = consumed?;
            host.ready("router");
            let flow = Flow { intake, settler, converter, rules, grace: host.grace };
            flow.run(host.shutdown.clone()).await
        };
        match routed.await {
            Err(FlowError::Consume(cause @ ConsumeError::Fatal(_))) if !host.shutdown.is_cancelled() => {
                let pause = pauses.longer();
                error!(%cause, pause_ms = pause.as_millis() as u64, "events can't be taken in; trying again");
                host.not_ready("router", "events can't be taken in");
                tokio::select! {
                    () = host.shutdown.cancelled() => return Ok(true),
                    () = tokio::time::sleep(pause) => {}
                }
            }
            ended => return ended,
        }
    }
}

/// What the router consumes and hands over with: its own where hand-overs are to be transactions.
async fn broker(host: &Host, settings: &RouterSettings) -> anyhow::Result<Arc<dyn Broker>> {
    if !settings.exactly_once {
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
