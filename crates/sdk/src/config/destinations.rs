//! A destination's entry: the adapter's settings under `settings`, the runtime's beside it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use trunkline_core::RetryPolicy;
pub use trunkline_core::config::Rate as RateLimit;
use trunkline_core::config::{Diagnostics, DurationSetting, Node, codes};

use super::shared::settings_node;

/// One entry of `destinations:`.
#[derive(Debug, Clone)]
pub struct DestinationEntry {
    /// The adapter's name; with `external: true` it may be left out, and is not judged.
    pub adapter: Option<String>,
    /// The adapter's own settings, still a node: the adapter reads them. An empty map where there are none.
    pub settings: Node,
    /// The whole entry, for diagnostics and for telling whether it changed.
    pub node: Node,
    /// A team's own service delivers it: the dispatcher skips it.
    pub external: bool,
    /// The runtime's settings.
    pub runtime: DestinationSettings,
}

/// What the runtime does for a destination.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationSettings {
    /// How long one attempt may take. Default 30 s.
    pub timeout: Duration,
    /// Attempts at once, at most. Default 16.
    pub concurrency: usize,
    /// Attempts per time, at most. Default: none.
    pub rate_limit: Option<RateLimit>,
    /// Whether deliveries with one key go one at a time. Default `key`.
    pub ordering: Ordering,
    /// When and how often it is attempted again.
    pub retry: RetryPolicy,
    /// After this many transient failures one after the other the circuit opens. Default 10; 0 means never.
    pub circuit_failures: u32,
    /// How long an open circuit waits before it lets one attempt through. Default 30 s.
    pub circuit_pause: Duration,
    /// How often a held destination lets one delivery through to see. Default 1 min.
    pub probe_every: Duration,
}

/// Whether the order within a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ordering {
    /// One delivery of a key in flight at a time (a retried one may still be overtaken).
    Key,
    /// No order.
    None,
}

impl Default for DestinationSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            concurrency: 16,
            rate_limit: None,
            ordering: Ordering::Key,
            retry: RetryPolicy::default(),
            circuit_failures: 10,
            circuit_pause: Duration::from_secs(30),
            probe_every: Duration::from_secs(60),
        }
    }
}

/// As it stands in the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDestination {
    /// The adapter's name; may be left out with `external: true`.
    adapter: Option<String>,
    /// The adapter's own settings.
    #[schemars(with = "Option<serde_json::Value>")]
    #[serde(rename = "settings", default)]
    _settings: Option<IgnoredAny>,
    /// A team's own service delivers it.
    #[serde(default)]
    external: bool,
    /// How long one attempt may take. Default `30s`.
    timeout: Option<DurationSetting>,
    /// Attempts at once, at most. Default 16.
    concurrency: Option<usize>,
    /// Attempts per time, at most, for example `10/s`. Default: no limit.
    rate_limit: Option<RateLimit>,
    /// Whether deliveries with one key go one at a time. Default `key`.
    ordering: Option<Ordering>,
    /// When and how often a failed delivery is attempted again.
    #[serde(default)]
    retry: RawRetry,
    /// When deliveries pause because attempts keep failing.
    #[serde(default)]
    circuit: RawCircuit,
    /// How often a held destination lets one delivery through to see. Default `1m`.
    probe_every: Option<DurationSetting>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawRetry {
    /// Attempts in all, the first one included. Default 10.
    max_attempts: Option<u32>,
    /// No retry begins later than this after the first attempt. Default `1d`.
    max_age: Option<DurationSetting>,
    /// Upper bound of the delay before the first retry. Default `1s`.
    first: Option<DurationSetting>,
    /// Upper bound of every delay. Default `1h`.
    max: Option<DurationSetting>,
    /// Growth of the bound from one retry to the next. Default 2.
    factor: Option<f64>,
    /// The longest `Retry-After` that is obeyed. Default `1h`.
    max_retry_after: Option<DurationSetting>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawCircuit {
    /// Transient failures one after the other that open the circuit; 0 means never. Default 10.
    failures: Option<u32>,
    /// How long an open circuit waits before it lets one attempt through. Default `30s`.
    pause: Option<DurationSetting>,
}

impl DestinationEntry {
    pub(super) fn read(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let raw: RawDestination = node.read(diagnostics)?;
        let entry = Self {
            adapter: raw.adapter.clone(),
            settings: settings_node(node),
            node: node.clone(),
            external: raw.external,
            runtime: raw.into_runtime(),
        };
        let problems = entry.problems();
        for (at, code, problem) in &problems {
            let place = at.split('.').try_fold(node, |node, name| node.get(name)).unwrap_or(node);
            diagnostics.push(place.error(code, *problem, None));
        }
        problems.is_empty().then_some(entry)
    }

    /// What the adapter of an entry with mistakes beside its settings is judged by; where no adapter is named, the entry
    /// counts as external, which is not judged.
    pub(super) fn to_judge(node: &Node) -> Self {
        let adapter = node.get("adapter").and_then(Node::as_text).map(str::to_owned);
        Self {
            external: adapter.is_none(),
            adapter,
            settings: settings_node(node),
            node: node.clone(),
            runtime: DestinationSettings::default(),
        }
    }

    /// What can't be: the setting, a code and the problem.
    fn problems(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let runtime = &self.runtime;
        let range = codes::WRONG_VALUE;
        let factor = runtime.retry.factor;
        let judged = [
            (!self.external && self.adapter.is_none(), "", codes::MISSING_KEY, "`adapter` is missing"),
            (runtime.concurrency == 0, "concurrency", range, "must be at least 1"),
            (runtime.timeout.is_zero(), "timeout", range, "must be longer than nothing"),
            (runtime.probe_every.is_zero(), "probe_every", range, "must be longer than nothing"),
            (runtime.retry.max_attempts == 0, "retry.max_attempts", range, "must be at least 1"),
            (!(factor.is_finite() && factor >= 1.0), "retry.factor", range, "must be at least 1"),
            (runtime.retry.first > runtime.retry.max, "retry.first", range, "must not be longer than `max`"),
            (runtime.circuit_pause.is_zero(), "circuit.pause", range, "must be longer than nothing"),
        ];
        let wrong = judged.into_iter().filter(|(wrong, ..)| *wrong);
        wrong.map(|(_, at, code, problem)| (at, code, problem)).collect()
    }
}

impl RawDestination {
    fn into_runtime(self) -> DestinationSettings {
        let default = DestinationSettings::default();
        DestinationSettings {
            timeout: self.timeout.map_or(default.timeout, |setting| setting.0),
            concurrency: self.concurrency.unwrap_or(default.concurrency),
            rate_limit: self.rate_limit,
            ordering: self.ordering.unwrap_or(default.ordering),
            retry: RetryPolicy {
                max_attempts: self.retry.max_attempts.unwrap_or(default.retry.max_attempts),
                max_age: self.retry.max_age.map_or(default.retry.max_age, |setting| setting.0),
                first: self.retry.first.map_or(default.retry.first, |setting| setting.0),
                max: self.retry.max.map_or(default.retry.max, |setting| setting.0),
                factor: self.retry.factor.unwrap_or(default.retry.factor),
                max_retry_after: self
                    .retry
                    .max_retry_after
                    .map_or(default.retry.max_retry_after, |setting| setting.0),
            },
            circuit_failures: self.circuit.failures.unwrap_or(default.circuit_failures),
            circuit_pause: self.circuit.pause.map_or(default.circuit_pause, |setting| setting.0),
            probe_every: self.probe_every.map_or(default.probe_every, |setting| setting.0),
        }
    }
}
