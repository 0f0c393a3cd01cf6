//! Metrics: collected in the process, rendered for Prometheus when asked.

use std::sync::{Mutex, PoisonError};

use metrics::gauge;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

use super::process::record_process;
use crate::metric;

/// The process's metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

/// Why metrics can't be collected.
#[derive(Debug, Error)]
#[error("metrics can't be collected")]
pub struct MetricsError(#[from] BuildError);

impl Metrics {
    /// Starts to collect. A process has one collection: a second call gives the same.
    ///
    /// # Errors
    /// When something else collects metrics already.
    pub fn install() -> Result<Self, MetricsError> {
        // Locked over the whole, so that of two callers at once the second gets what the first installs.
        static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let handle = builder()?.install_recorder()?;
        metric::describe();
        let engines = if cfg!(feature = "embedded") { "embedded" } else { "" };
        gauge!(metric::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "engines" => engines).set(1.0);
        Ok(installed.insert(Self { handle }).clone())
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        record_process();
        self.handle.render()
    }

    /// Brings histograms up to date; called every few seconds so that they stay small while nobody asks.
    pub(super) fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

pub(super) fn builder() -> Result<PrometheusBuilder, BuildError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &metric::DURATION_BUCKETS)?
        .set_buckets_for_metric(full(metric::DELIVERY_AGE), &metric::AGE_BUCKETS)?
        .set_buckets_for_metric(full(metric::ROUTER_BATCH_RECORDS), &metric::BATCH_BUCKETS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use metrics::{counter, histogram};

    use super::*;

    #[test]
    fn histograms_have_buckets_and_every_metric_a_description() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metric::describe();
            histogram!(metric::DELIVERY_DURATION, "destination" => "crm").record(0.003);
            histogram!(metric::DELIVERY_AGE, "destination" => "crm").record(7200.0);
            counter!(metric::DELIVERY_ATTEMPTS, "destination" => "crm", "class" => "delivered").increment(1);
            record_process();
        });
        let text = handle.render();
        for expected in [
            "# HELP trunkline_delivery_attempts_total Attempts, by destination",
            "trunkline_delivery_duration_seconds_bucket{destination=\"crm\",le=\"0.005\"} 1",
            "trunkline_delivery_age_seconds_bucket{destination=\"crm\",le=\"3600\"} 0",
            "trunkline_delivery_age_seconds_bucket{destination=\"crm\",le=\"21600\"} 1",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_cpu_seconds_total ",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
