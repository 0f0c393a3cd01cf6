//! What the environment asks to be exported, in the words of OpenTelemetry's specification.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// What to export.
#[derive(Debug, PartialEq)]
pub(super) struct Environment {
    pub(super) traces: Option<Signal>,
    pub(super) metrics: Option<Signal>,
    /// How often metrics are exported.
    pub(super) metrics_every: Duration,
}

/// Where one kind of telemetry goes.
#[derive(Debug, PartialEq)]
pub(super) struct Signal {
    pub(super) endpoint: Url,
    /// Credentials mostly; never to be shown.
    pub(super) headers: HeaderMap,
    /// How long an export may take, repetitions included.
    pub(super) timeout: Duration,
}

struct Reader<F> {
    get: F,
    complaints: Vec<String>,
}

impl Environment {
    /// Reads the variables, and says what of them can't be followed.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        // The specification takes an empty variable for one that is not set.
        let get =
            |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut reader = Reader { get, complaints: Vec::new() };
        let disabled = (reader.get)(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let mut signal = |name, path| if disabled { None } else { reader.signal(name, path) };
        let (traces, metrics) = (signal("TRACES", "v1/traces"), signal("METRICS", "v1/metrics"));
        let metrics_every = reader.millis(&[INTERVAL.to_owned()], DEFAULT_INTERVAL);
        (Self { traces, metrics, metrics_every }, reader.complaints)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.traces.is_none() && self.metrics.is_none()
    }
}

impl Signal {
    /// The collector, without what may be secret in its address.
    pub(super) fn shown(&self) -> String {
        let port = self.endpoint.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}", self.endpoint.host_str().unwrap_or_default())
    }
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    fn signal(&mut self, name: &str, path: &str) -> Option<Signal> {
        let own = |what: &str| format!("OTEL_EXPORTER_OTLP_{name}_{what}");
        let of_all = |what: &str| format!("OTEL_EXPORTER_OTLP_{what}");
        let endpoint = self.endpoint(&own("ENDPOINT"), &of_all("ENDPOINT"), path)?;
        let variable = format!("OTEL_{name}_EXPORTER");
        let exporters = (self.get)(&variable).unwrap_or_else(|| "otlp".to_owned());
        if !exporters.split(',').any(|exporter| exporter.trim() == "otlp") {
            // What else there is, Prometheus, is served in any case.
            let known = |exporter: &str| matches!(exporter.trim(), "none" | "prometheus");
            if !exporters.split(',').all(known) {
                self.complain(&variable, &exporters, "there are `otlp` and `none`; nothing is exported");
            }
            return None;
        }
        let (variable, protocol) = self.first(&[own("PROTOCOL"), of_all("PROTOCOL")]).unzip();
        if let (Some(variable), Some(protocol)) =
            (variable, protocol.filter(|protocol| protocol != "http/protobuf"))
        {
            self.complain(
                &variable,
                &protocol,
                "only `http/protobuf` is in this build; nothing is exported. Set it, with the collector's HTTP port (4318 by default)",
            );
            return None;
        }
        let headers =
            self.first(&[own("HEADERS"), of_all("HEADERS")]).map(|(name, text)| self.headers(&name, &text));
        let timeout = self.millis(&[own("TIMEOUT"), of_all("TIMEOUT")], DEFAULT_TIMEOUT);
        Some(Signal { endpoint, headers: headers.unwrap_or_default(), timeout })
    }

    fn endpoint(&mut self, own: &str, of_all: &str, path: &str) -> Option<Url> {
        let (name, text) = self.first(&[own.to_owned(), of_all.to_owned()])?;
        // Only the address of all signals is a base.
        let text_with_path =
            if name == own { text.clone() } else { format!("{}/{path}", text.trim_end_matches('/')) };
        let url = Url::parse(&text_with_path).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            // Addresses may hold credentials.
            self.complaints.push(format!("{name} is no http:// or https:// address; nothing is exported"));
        }
        url
    }

    /// `name=value` pairs, values percent-encoded.
    fn headers(&mut self, variable: &str, text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for pair in text.split(',').filter(|pair| !pair.trim().is_empty()) {
            match header(pair) {
                Some((name, value)) => drop(headers.insert(name, value)),
                // The pair may hold a secret.
                None => self
                    .complaints
                    .push(format!("{variable}: a header is not of the form name=value; it is left out")),
            }
        }
        headers
    }

    fn millis(&mut self, names: &[String], default: Duration) -> Duration {
        let Some((name, text)) = self.first(names) else { return default };
        match text.parse() {
            Ok(millis) if millis > 0 => Duration::from_millis(millis),
            _ => {
                self.complain(&name, &text, "it takes a number of milliseconds; the default stands");
                default
            }
        }
    }

    fn first(&self, names: &[String]) -> Option<(String, String)> {
        names.iter().find_map(|name| Some((name.clone(), (self.get)(name)?)))
    }

    fn complain(&mut self, variable: &str, value: &str, problem: &str) {
        self.complaints.push(format!("{variable}=`{}`: {problem}", value.escape_debug()));
    }
}

fn header(pair: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = pair.split_once('=')?;
    let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
    let mut value = HeaderValue::from_str(&value).ok()?;
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Environment, Vec<String>) {
        let of = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string())
        };
        Environment::read(of)
    }

    fn endpoints(variables: &[(&str, &str)]) -> (Option<String>, Option<String>) {
        let (environment, complaints) = read(variables);
        assert_eq!(complaints, [""; 0]);
        let endpoint = |signal: Option<Signal>| signal.map(|signal| signal.endpoint.to_string());
        (endpoint(environment.traces), endpoint(environment.metrics))
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    #[test]
    fn nothing_is_exported_unless_an_endpoint_is_named() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_TRACES_EXPORTER", "otlp"), ("OTEL_SERVICE_NAME", "bus")],
            &[ENDPOINT, ("OTEL_SDK_DISABLED", "TRUE")],
            &[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRICS_EXPORTER", "prometheus")],
        ] {
            assert_eq!(endpoints(variables), (None, None), "{variables:?}");
        }
    }

    #[test]
    fn an_endpoint_of_its_own_is_taken_as_it_is() {
        let both = (
            Some("http://collector:4318/v1/traces".to_owned()),
            Some("http://collector:4318/v1/metrics".to_owned()),
        );
        assert_eq!(endpoints(&[ENDPOINT, ("OTEL_SDK_DISABLED", "no")]), both);
        let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/otlp?x=1");
        let expected = (both.0, Some("https://m.example/otlp?x=1".to_owned()));
        assert_eq!(endpoints(&[ENDPOINT, own]), expected);
        assert_eq!(endpoints(&[own]), (None, expected.1));
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let (environment, complaints) = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret, x-team = shop,broken"),
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-team=metrics"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
        ]);
        assert_eq!(environment.metrics_every, Duration::from_secs(1));
        let (traces, metrics) = (environment.traces.unwrap(), environment.metrics.unwrap());
        assert_eq!((traces.timeout, metrics.timeout), (Duration::from_millis(250), DEFAULT_TIMEOUT));
        assert_eq!(traces.headers["authorization"], "Bearer secret");
        assert_eq!(
            (traces.headers.len(), &metrics.headers["x-team"]),
            (2, &HeaderValue::from_static("metrics"))
        );
        let said = format!("{traces:?} {complaints:?} {}", traces.shown());
        assert!(!said.contains("secret") && complaints.len() == 1, "{said}");
    }

    #[track_caller]
    fn complains(variable: (&str, &str), expected: &str) {
        let (environment, complaints) = read(&[ENDPOINT, variable]);
        assert_eq!((environment.traces, complaints.first().map(String::as_str)), (None, Some(expected)));
    }

    #[test]
    fn what_is_not_in_this_build_is_said() {
        let grpc = "OTEL_EXPORTER_OTLP_PROTOCOL=`grpc`: only `http/protobuf` is in this build; nothing is exported. Set it, with the collector's HTTP port (4318 by default)";
        complains(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), grpc);
        let zipkin = "OTEL_TRACES_EXPORTER=`zipkin`: there are `otlp` and `none`; nothing is exported";
        complains(("OTEL_TRACES_EXPORTER", "zipkin"), zipkin);
        let address =
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is no http:// or https:// address; nothing is exported";
        complains(("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"), address);
    }
}
