//! A destination's entry: the adapter's settings under `settings`, the runtime's beside it.

use std::time::Duration;

use trunkline_core::RetryPolicy;
use trunkline_core::config::Node;

/// One entry of `destinations:`.
#[derive(Debug, Clone)]
pub struct DestinationEntry {
    /// The adapter's name; `None` with `external: true`.
    pub adapter: Option<String>,
    /// The adapter's own settings, still a node: the adapter reads them.
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

/// At most `count` in `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub count: u32,
    /// In what time.
    pub per: Duration,
}

/// Whether the order within a key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
