//! OpenTelemetry: spans and metrics to a collector, by OTLP over HTTP, as the standard environment variables say.
//!
//! Nothing is exported, and nothing runs, unless `OTEL_EXPORTER_OTLP_ENDPOINT` (or the signal's own) names a collector.
//! The bus never waits for one: spans are queued up to a bound and left out beyond it, metrics are read every minute. A
//! collector that is away costs one log line when it goes and one when it is back.

mod client;
mod encode;
mod environment;
mod meter;
mod snapshot;
mod spans;

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};
use tracing::{error, info, warn};

use self::client::Client;
use self::environment::Environment;
use self::meter::Meter;
use self::spans::OtlpSpans;
use super::host::Host;
use crate::config::{EngineKind, Shared};
use crate::trace;

/// Exports spans and metrics while it lives.
#[derive(Debug, Default)]
#[must_use = "what was not exported yet is lost without a stop"]
pub struct Otlp {
    traces: Option<SdkTracerProvider>,
    metrics: Option<Meter>,
}

impl Otlp {
    /// Starts to export what the environment asks for; mostly that is nothing. What it asks for and can't be had is said
    /// in the log and left out: a bus does not stand still because nobody watches it. `service` is the process's
    /// `service.name`, unless the environment says another. Call it in the runtime of the process, before services start.
    pub fn start(service: &str, host: &Host) -> Self {
        let (environment, complaints) = Environment::read(|name| std::env::var(name).ok());
        for complaint in complaints {
            error!("{complaint}");
        }
        if environment.is_empty() {
            return Self::default();
        }
        let resource = resource(service, &host.instance);
        let traces = environment.traces.and_then(|signal| {
            info!(collector = %signal.shown(), "spans are exported");
            let client = said(Client::new("traces", signal))?;
            let spans = BatchSpanProcessor::builder(OtlpSpans::new(client)).build();
            let provider = SdkTracerProvider::builder().with_span_processor(spans);
            let provider = provider.with_resource(resource.clone()).build();
            trace::record_by(provider.tracer("trunkline"), system(&host.shared));
            Some(provider)
        });
        let metrics = environment.metrics.and_then(|signal| {
            info!(collector = %signal.shown(), "metrics are exported");
            let client = said(Client::new("metrics", signal))?;
            Some(Meter::start(client, host.admin.metrics(), &resource, environment.metrics_every))
        });
        Self { traces, metrics }
    }

    /// Exports what is left, for at most `within`, and stops. The services have ended before.
    pub async fn stop(self, within: Duration) {
        let Self { traces, metrics } = self;
        let spans = async {
            let Some(provider) = traces else { return true };
            // The provider waits on the thread it is called on, for a thread that sends through this runtime.
            let stopping = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(within));
            matches!(stopping.await, Ok(Ok(())))
        };
        let numbers = async {
            match metrics {
                None => true,
                Some(meter) => tokio::time::timeout(within, meter.stop()).await.is_ok(),
            }
        };
        if tokio::join!(spans, numbers) != (true, true) {
            warn!("the last spans or metrics could not be exported in time");
        }
    }
}

/// What is the same for every span and metric: the environment's words count more than ours.
fn resource(service: &str, instance: &str) -> Resource {
    let said = Resource::builder().build();
    let mut ours = Vec::new();
    let mut add = |key: &'static str, value: String| {
        let unknown = |value: String| value.starts_with("unknown_service");
        if said.get(&key.into()).is_none_or(|value| unknown(value.to_string())) {
            ours.push(KeyValue::new(key, value));
        }
    };
    add("service.name", service.to_owned());
    add("service.instance.id", instance.to_owned());
    add("service.version", env!("CARGO_PKG_VERSION").to_owned());
    Resource::builder().with_attributes(ours).build()
}

/// The value of `messaging.system`.
fn system(shared: &Shared) -> &'static str {
    match shared.broker.engine(&shared.folder) {
        Some(EngineKind::Kafka) => "kafka",
        Some(EngineKind::RabbitMq) => "rabbitmq",
        Some(EngineKind::Embedded) | None => "trunkline",
    }
}

fn said(client: Result<Client, reqwest::Error>) -> Option<Client> {
    client.inspect_err(|error| error!(%error, "no HTTP client for OpenTelemetry; nothing is exported")).ok()
}
