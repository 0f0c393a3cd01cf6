//! How far consumers are behind, as metrics.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{Broker, ChannelSpec};

use crate::config::Shared;
use crate::{metric, topology};

/// How often the broker is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Asks the broker every few seconds how far each group of each channel is behind, until `shutdown`. Follows the
/// configuration. One process of a deployment does it.
pub async fn report_lag(
    broker: Arc<dyn Broker>,
    configuration: watch::Receiver<Arc<Shared>>,
    shutdown: CancellationToken,
) {
    let mut every = tokio::time::interval(ASK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _at = every.tick() => {}
        }
        let specs = topology::channels(&configuration.borrow());
        for spec in &specs {
            report(&*broker, spec).await;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
async fn report(broker: &dyn Broker, spec: &ChannelSpec) {
    for group in &spec.groups {
        let labels = [("channel", spec.name.as_str().to_owned()), ("group", group.as_str().to_owned())];
        match broker.lag(&spec.name, group).await {
            Ok(partitions) => {
                let records: u64 = partitions.iter().map(|lag| lag.records).sum();
                let oldest = partitions.iter().filter_map(|lag| lag.oldest).max().unwrap_or_default();
                gauge!(metric::CHANNEL_LAG, &labels).set(records as f64);
                gauge!(metric::CHANNEL_OLDEST, &labels).set(oldest.as_secs_f64());
            }
            Err(error) => tracing::debug!(channel = %spec.name, %group, %error, "the lag is not known"),
        }
    }
}
