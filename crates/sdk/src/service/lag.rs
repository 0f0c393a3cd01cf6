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
    report_each(ASK_EVERY, broker, configuration, shutdown).await;
}

async fn report_each(
    time: Duration,
    broker: Arc<dyn Broker>,
    configuration: watch::Receiver<Arc<Shared>>,
    shutdown: CancellationToken,
) {
    let mut every = tokio::time::interval(time);
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use trunkline_core::Delivery;

    use super::*;
    use crate::registry::Adapters;
    use crate::service::Metrics;
    use crate::testing::{TestBus, sample_delivery};

    /// Waits until this many records wait for the destination, as the metrics say.
    async fn waiting(metrics: &Metrics, records: u32) {
        let series = "trunkline_channel_lag_records{channel=\"deliver.lagging\",group=\"dispatcher\"}";
        let line = format!("{series} {records}");
        let told = async {
            while !metrics.render().lines().any(|told| told == line) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(30), told).await;
        assert!(told.is_ok(), "{line} is not in\n{}", metrics.render());
    }

    #[tokio::test]
    async fn nothing_waits_for_a_destination_that_was_removed() {
        let metrics = Metrics::install().unwrap();
        let with = "version: 1\ndestinations: { lagging: { external: true } }";
        let bus = TestBus::start(with, Adapters::new()).await.unwrap();
        let host = bus.host();
        let (broker, configuration) = (host.broker.clone(), host.configuration.clone());
        let reporting = report_each(Duration::from_millis(10), broker, configuration, host.shutdown.clone());
        let reporting = tokio::spawn(reporting);
        let delivery = Delivery { destination: "lagging".to_owned(), ..sample_delivery() };
        bus.deliver(&delivery).await.unwrap();
        waiting(&metrics, 1).await;
        bus.reconfigure("version: 1").await.unwrap();
        waiting(&metrics, 0).await;
        host.shutdown.cancel();
        reporting.await.unwrap();
    }
}
