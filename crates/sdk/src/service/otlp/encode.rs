//! A snapshot of the metrics as a collector takes it.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::snapshot::{Family, Kind, Point};

/// When the numbers were counted, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The request of one export. Names are those that Prometheus sees, so that both kinds of readers ask for the same.
pub(super) fn request(
    resource: Resource,
    families: Vec<Family>,
    period: Period,
) -> ExportMetricsServiceRequest {
    let metrics = families.into_iter().map(|family| metric(family, period)).collect();
    let scope = InstrumentationScope {
        name: "trunkline".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let of_process = ResourceMetrics { resource: Some(resource), scope_metrics, schema_url: String::new() };
    ExportMetricsServiceRequest { resource_metrics: vec![of_process] }
}

fn metric(family: Family, period: Period) -> Metric {
    let Family { name, help, kind, points } = family;
    let temporality = AggregationTemporality::Cumulative.into();
    let numbers = |points: Vec<Point>| points.into_iter().map(|point| number(point, period)).collect();
    let data = match kind {
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(points),
            aggregation_temporality: temporality,
            is_monotonic: true,
        }),
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers(points) }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: points.into_iter().map(|point| histogram(point, period)).collect(),
            aggregation_temporality: temporality,
        }),
    };
    let unit = unit(&name).to_owned();
    Metric { name, description: help, unit, data: Some(data), ..Metric::default() }
}

/// By the name's last word, as Prometheus has it.
fn unit(name: &str) -> &'static str {
    match name.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "1",
    }
}

fn number(point: Point, period: Period) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(point.labels),
        start_time_unix_nano: period.start,
        time_unix_nano: period.end,
        value: Some(Number::AsDouble(point.value)),
        ..NumberDataPoint::default()
    }
}

fn histogram(point: Point, period: Period) -> HistogramDataPoint {
    let mut before = 0;
    // Prometheus counts what is below a bound, OpenTelemetry what is between two.
    let between = point.buckets.iter().map(|(_, below)| {
        let count = below.saturating_sub(before);
        before = *below;
        count
    });
    let bucket_counts: Vec<u64> = between.collect();
    HistogramDataPoint {
        attributes: attributes(point.labels),
        start_time_unix_nano: period.start,
        time_unix_nano: period.end,
        count: bucket_counts.iter().sum(),
        sum: Some(point.value),
        bucket_counts,
        explicit_bounds: point
            .buckets
            .iter()
            .map(|(bound, _)| *bound)
            .filter(|bound| bound.is_finite())
            .collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: Vec<(String, String)>) -> Vec<KeyValue> {
    labels.into_iter().map(|(key, value)| attribute(key, value)).collect()
}

/// One attribute that is text.
pub(super) fn attribute(key: String, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value)) });
    KeyValue { key, value, ..KeyValue::default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const PERIOD: Period = Period { start: 1, end: 2 };

    fn data(kind: Kind, point: Point) -> Data {
        let family =
            Family { name: "x_seconds".to_owned(), help: "Help.".to_owned(), kind, points: vec![point] };
        let mut request = request(Resource::default(), vec![family], PERIOD);
        let metric = request.resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0);
        assert_eq!((metric.unit.as_str(), metric.description.as_str()), ("s", "Help."));
        metric.data.unwrap()
    }

    #[test]
    fn a_histogram_counts_between_its_bounds() {
        let buckets = vec![(0.1, 2), (1.0, 2), (f64::INFINITY, 5)];
        let labels = vec![("a".to_owned(), "b".to_owned())];
        let Data::Histogram(histogram) = data(Kind::Histogram, Point { labels, value: 9.5, buckets }) else {
            panic!("no histogram")
        };
        let point = &histogram.data_points[0];
        assert_eq!((&point.bucket_counts[..], &point.explicit_bounds[..]), (&[2, 0, 3][..], &[0.1, 1.0][..]));
        assert_eq!(
            (point.count, point.sum, point.start_time_unix_nano, point.time_unix_nano),
            (5, Some(9.5), 1, 2)
        );
        assert_eq!(point.attributes, [attribute("a".to_owned(), "b".to_owned())]);
        assert_eq!(histogram.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    }

    #[test]
    fn a_counter_only_grows_and_a_gauge_need_not() {
        let point = Point { value: 3.0, ..Point::default() };
        let Data::Sum(sum) = data(Kind::Counter, point.clone()) else { panic!("no sum") };
        assert!(sum.is_monotonic);
        assert_eq!(sum.data_points[0].value, Some(Number::AsDouble(3.0)));
        assert!(matches!(data(Kind::Gauge, point), Data::Gauge(_)));
        assert_eq!([unit("a_seconds_total"), unit("memory_bytes"), unit("fds")], ["s", "By", "1"]);
    }
}
