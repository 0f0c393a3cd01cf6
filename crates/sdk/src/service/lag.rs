//! How far consumers are behind, as metrics.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{Broker, ChannelSpec, Keep};

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
    let mut reported: Vec<ChannelSpec> = Vec::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _at = every.tick() => {}
        }
        let specs = topology::channels(&configuration.borrow());
        for spec in &specs {
            report(&*broker, spec).await;
        }
        // What waits for a removed destination is nobody's any more, and no alarm is to ring about it for ever.
        for gone in reported.iter().filter(|gone| !specs.iter().any(|spec| spec.name == gone.name)) {
            for labels in labels(gone) {
                gauge!(metric::CHANNEL_LAG, &labels).set(0.0);
                gauge!(metric::CHANNEL_OLDEST, &labels).set(0.0);
            }
        }
        reported = specs;
    }
}

/// The labels of a channel's series, one for each group.
fn labels(spec: &ChannelSpec) -> impl Iterator<Item = [(&'static str, String); 2]> {
    let channel = spec.name.as_str();
    spec.groups
        .iter()
        .map(move |group| [("channel", channel.to_owned()), ("group", group.as_str().to_owned())])
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
async fn report(broker: &dyn Broker, spec: &ChannelSpec) {
    for (group, labels) in spec.groups.iter().zip(labels(spec)) {
        if let Keep::For { age, .. } = spec.keep {
            gauge!(metric::CHANNEL_KEEP, &labels).set(age.as_secs_f64());
        }
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
