//! What makes a process of adapters and services: telemetry, health, the broker and the store, shutdown and exit codes.
//!
//! A service is a function `run(host: Host, settings) -> anyhow::Result<..>`. The binary makes one [`Host`] and gives
//! every service a clone. An adapter in a process of its own needs none of this by hand: see [`deliver_main`].

mod admin;
mod backup;
mod broker;
mod channels;
mod deliver;
mod examine;
mod exit;
mod host;
mod instance;
mod lag;
mod loopback;
#[cfg(any(feature = "embedded", feature = "kafka", feature = "rabbitmq"))]
mod metered;
mod metrics;
mod otlp;
mod patience;
mod pauses;
mod problem;
mod process;
mod prune;
mod reach;
mod roster;
mod shutdown;
mod telemetry;
mod trace_context;

pub use self::metrics::{Metrics, MetricsError};
pub use admin::{Admin, BoundAdmin};
pub use backup::{back_up_broker, back_up_store};
pub use broker::{BrokerClient, OpenError, OpenStoreError, judge_property, open_broker, open_store};
pub use channels::ensure_channels;
pub use deliver::{deliver, deliver_main};
pub use examine::{broker_servers, examine_store, examiner};
pub use exit::{Exit, ServiceError};
pub use host::{Host, HostParts};
pub use instance::{Instance, instance_name};
pub use lag::report_lag;
pub use loopback::is_meant_for_this_machine;
pub use otlp::Otlp;
pub use patience::DEFAULT_WAIT;
pub use pauses::Pauses;
pub use problem::ProblemDetails;
pub use prune::keep_pruned;
pub use reach::report_reach;
pub use roster::Roster;
pub use shutdown::{DEFAULT_GRACE, on_signals};
pub use telemetry::{LogFormat, TelemetryError, init_logs};
pub use trace_context::TraceContext;
