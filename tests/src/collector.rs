//! An OpenTelemetry collector: takes OTLP over HTTP and tells what spans and metrics came.
//!
//! It decodes with the protocol's own types, not with anything of Trunkline.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;
use trunkline_sdk::testing::{ReceivedRequest, Receiver};

use crate::eventually;

/// A collector on a port of its own.
pub struct Collector {
    receiver: Receiver,
}

/// A span as it came in. Ids are in hexadecimal.
#[derive(Debug, Clone)]
pub struct SpanSeen {
    /// `service.name` of the process it came from.
    pub service: String,
    /// Its name.
    pub name: String,
    /// What kind of step it is.
    pub kind: SpanKind,
    /// The trace's id.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The parent's id; empty for the first of a trace.
    pub parent: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The traces that it points to.
    pub links: Vec<String>,
    /// Whether it says that the step failed.
    pub failed: bool,
}

/// The last that came of a metric: the sum of its values, or of its histograms' counts, over all attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSeen {
    /// `service.name` of the process it came from.
    pub service: String,
    /// Whether it is a histogram.
    pub histogram: bool,
    /// The sum.
    pub total: f64,
    /// The attributes of all its points.
    pub attributes: Vec<BTreeMap<String, String>>,
}

impl Collector {
    /// Listens.
    pub async fn start() -> Self {
        Self { receiver: Receiver::start().await.unwrap() }
    }

    /// What a process must be started with to export to it, soon and often.
    pub fn environment(&self) -> Vec<(String, String)> {
        exporting_to(&self.receiver.url(""))
    }

    /// The server behind it, to see whole requests or to answer otherwise.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<SpanSeen> {
        let requests = self.requests("/v1/traces");
        let exports =
            requests.iter().map(|request| ExportTraceServiceRequest::decode(&*request.body).unwrap());
        let mut spans = Vec::new();
        for resource in exports.flat_map(|export| export.resource_spans) {
            let service = service(resource.resource);
            let of_scopes = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(of_scopes.map(|span| seen(span, &service)));
        }
        spans
    }

    /// The spans of a trace, once there are at least so many.
    pub async fn trace(&self, id: &str, spans: usize, within: Duration) -> Vec<SpanSeen> {
        eventually(format!("{spans} spans of trace {id}"), within, async || {
            let all = self.spans().into_iter().filter(|span| span.trace == id);
            let found: Vec<SpanSeen> = all.collect();
            (found.len() >= spans).then_some(found)
        })
        .await
    }

    /// The last of each metric so far, by service and name.
    pub fn metrics(&self) -> BTreeMap<(String, String), MetricSeen> {
        let mut seen = BTreeMap::new();
        for request in self.requests("/v1/metrics") {
            let export = ExportMetricsServiceRequest::decode(&*request.body).unwrap();
            for resource in export.resource_metrics {
                let service = service(resource.resource);
                for metric in resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                    let last = measured(metric.data, &service);
                    seen.insert((service.clone(), metric.name), last);
                }
            }
        }
        seen
    }

    fn requests(&self, path: &str) -> Vec<ReceivedRequest> {
        self.receiver.requests().into_iter().filter(|request| request.target == path).collect()
    }
}

/// What a process must be started with to export to an address, soon and often.
pub fn exporting_to(url: &str) -> Vec<(String, String)> {
    let pairs = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "300"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

impl SpanSeen {
    /// An attribute.
    #[track_caller]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

fn seen(span: Span, service: &str) -> SpanSeen {
    SpanSeen {
        service: service.to_owned(),
        kind: span.kind(),
        trace: hex::encode(span.trace_id),
        id: hex::encode(span.span_id),
        parent: hex::encode(span.parent_span_id),
        attributes: attributes(span.attributes),
        links: span.links.into_iter().map(|link| hex::encode(link.trace_id)).collect(),
        failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        name: span.name,
    }
}

fn measured(data: Option<Data>, service: &str) -> MetricSeen {
    let histogram = matches!(data, Some(Data::Histogram(_)));
    let points: Vec<_> = match data {
        Some(Data::Sum(sum)) => {
            sum.data_points.into_iter().map(|point| (number(point.value), point.attributes)).collect()
        }
        Some(Data::Gauge(gauge)) => {
            gauge.data_points.into_iter().map(|point| (number(point.value), point.attributes)).collect()
        }
        Some(Data::Histogram(histogram)) => {
            histogram.data_points.into_iter().map(|point| (point.count as f64, point.attributes)).collect()
        }
        other => panic!("not one of our kinds: {other:?}"),
    };
    let total = points.iter().map(|(value, _)| value).sum();
    let attributes = points.into_iter().map(|(_, of_point)| attributes(of_point)).collect();
    MetricSeen { service: service.to_owned(), histogram, total, attributes }
}

fn number(value: Option<Number>) -> f64 {
    match value {
        Some(Number::AsDouble(value)) => value,
        Some(Number::AsInt(value)) => value as f64,
        None => panic!("a point without a value"),
    }
}

fn service(resource: Option<Resource>) -> String {
    attributes(resource.unwrap().attributes).remove("service.name").unwrap()
}

fn attributes(list: Vec<KeyValue>) -> BTreeMap<String, String> {
    list.into_iter().map(|pair| (pair.key, text(pair.value))).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => panic!("not one of our kinds: {other:?}"),
    }
}
