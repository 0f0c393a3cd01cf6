//! Exports the metrics every so often.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use opentelemetry_proto::tonic::resource::v1::Resource as WireResource;
use opentelemetry_sdk::Resource;
use prost::Message as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::client::Client;
use super::encode::{self, Period};
use super::snapshot;
use crate::service::Metrics;

/// A task that exports; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Meter {
    stopping: CancellationToken,
    task: AbortOnDropHandle<()>,
}

struct Exporter {
    client: Client,
    metrics: Metrics,
    resource: WireResource,
    /// When counting began, in nanoseconds since 1970.
    start: u64,
}

impl Meter {
    pub(super) fn start(client: Client, metrics: Metrics, resource: &Resource, every: Duration) -> Self {
        let attributes =
            resource.iter().map(|(key, value)| encode::attribute(key.to_string(), value.to_string()));
        let resource = WireResource { attributes: attributes.collect(), ..WireResource::default() };
        let exporter = Exporter { client, metrics, resource, start: now() };
        let stopping = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(run(exporter, every, stopping.clone())));
        Self { stopping, task }
    }

    /// Exports once more and ends. Dropping its future cuts that short.
    pub(super) async fn stop(self) {
        self.stopping.cancel();
        // A task that failed has said so on the standard error.
        drop(self.task.await);
    }
}

async fn run(exporter: Exporter, every: Duration, stopping: CancellationToken) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick comes at once, before there is anything to tell.
    ticks.tick().await;
    loop {
        tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            _at = ticks.tick() => exporter.export().await,
        }
    }
    exporter.export().await;
}

impl Exporter {
    async fn export(&self) {
        let families = snapshot::read(&self.metrics.render());
        let period = Period { start: self.start, end: now() };
        let request = encode::request(self.resource.clone(), families, period);
        // What went wrong is said by the client; the next export has everything that this one had.
        drop(self.client.send(Bytes::from(request.encode_to_vec())).await);
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
