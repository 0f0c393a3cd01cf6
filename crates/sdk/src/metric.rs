//! The names of all metrics, in one place. Labels are bounded: names of the configuration, classes and outcomes, never
//! an event's id. Durations are in seconds.
//!
//! [`describe`] says what each means; [`crate::service::Metrics`] collects them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Which build this is; always 1. Labels `version`, `engines`.
pub const BUILD_INFO: &str = "trunkline_build_info";
/// Changed configurations. Labels `service`, `outcome`: `swapped`, `refused`.
pub const CONFIG_RELOADS: &str = "trunkline_config_reloads_total";
/// Alarm: 1 while the configuration's files are refused and the process goes on by what it read before.
pub const CONFIG_REFUSED: &str = "trunkline_config_refused";

/// Events stored on the bus. Labels `entry`: `webhook`, `polling`, `publish`; `source`: the configured source's name, for
/// `publish` that of the key.
pub const GATEWAY_ACCEPTED: &str = "trunkline_gateway_events_accepted_total";
/// Requests that were refused. Label `reason`.
pub const GATEWAY_REFUSED: &str = "trunkline_gateway_refused_total";
/// Events that were accepted before: a platform's re-sends.
pub const GATEWAY_DUPLICATES: &str = "trunkline_gateway_duplicates_total";
/// Webhooks whose signature was refused. Label `source`.
pub const GATEWAY_UNSIGNED: &str = "trunkline_gateway_unsigned_total";
/// Authenticated webhooks that did not normalize, now on `dead.gateway`.
pub const GATEWAY_NOT_NORMALIZED: &str = "trunkline_gateway_not_normalized_total";
/// From a request's last byte to its answer. Label `route`.
pub const GATEWAY_REQUEST_DURATION: &str = "trunkline_gateway_request_duration_seconds";
/// Connections open now.
pub const GATEWAY_CONNECTIONS: &str = "trunkline_gateway_connections";

/// Events that were routed. Label `outcome`: `routed`, `filtered`, `undecodable`.
pub const ROUTER_EVENTS: &str = "trunkline_router_events_total";
/// Deliveries made. Labels `subscription`, `destination`.
pub const ROUTER_DELIVERIES: &str = "trunkline_router_deliveries_made_total";
/// Conditions and transforms that failed; each is a dead letter. Labels `subscription`, `stage`.
pub const ROUTER_RULE_FAILURES: &str = "trunkline_router_rule_failures_total";
/// Alarm: 1 while a subscription's programs get less time, because they were stopped too often. Label `subscription`.
pub const ROUTER_RESTRAINED: &str = "trunkline_router_restrained";
/// Records in a batch.
pub const ROUTER_BATCH_RECORDS: &str = "trunkline_router_batch_records";
/// Subscriptions in use.
pub const ROUTER_SUBSCRIPTIONS: &str = "trunkline_router_subscriptions";

/// Attempts. Labels `destination`, `class`: `delivered`, `transient`, `throttled`, `rejected`, `halted`.
pub const DELIVERY_ATTEMPTS: &str = "trunkline_delivery_attempts_total";
/// How long an attempt took. Label `destination`.
pub const DELIVERY_DURATION: &str = "trunkline_delivery_duration_seconds";
/// From routed to delivered. Label `destination`.
pub const DELIVERY_AGE: &str = "trunkline_delivery_age_seconds";
/// Deliveries that became dead letters. Labels `destination`, `reason`.
pub const DELIVERY_DEAD_LETTERS: &str = "trunkline_delivery_dead_letters_total";
/// 1 while a destination takes no deliveries. Labels `destination`, `reason`.
pub const DELIVERY_HELD: &str = "trunkline_delivery_held";
/// Attempts under way. Label `destination`.
pub const DELIVERY_IN_FLIGHT: &str = "trunkline_delivery_in_flight";
/// Deliveries in memory that wait for their attempt. Label `destination`.
pub const DELIVERY_WAITING: &str = "trunkline_delivery_waiting";

/// Dead letters read into the store. Labels `destination`, `reason`.
pub const CONSOLE_DEAD_LETTERS: &str = "trunkline_console_dead_letters_total";
/// Deliveries replayed. Label `destination`.
pub const CONSOLE_REPLAYED: &str = "trunkline_console_replayed_total";

/// Unsettled records, delayed ones included. Labels `channel`, `group`.
pub const CHANNEL_LAG: &str = "trunkline_channel_lag_records";
/// Age of the oldest unsettled record. Labels `channel`, `group`.
pub const CHANNEL_OLDEST: &str = "trunkline_channel_oldest_seconds";
/// How long a channel is to keep records, where that is a time. Labels `channel`, `group`.
pub const CHANNEL_KEEP: &str = "trunkline_channel_keep_seconds";
/// Alarm: 1 once records of a channel were found damaged. Label `channel`.
pub const CHANNEL_DAMAGED: &str = "trunkline_channel_damaged";
/// From publishing a batch to its confirmation. Label `service`.
pub const PUBLISH_DURATION: &str = "trunkline_publish_duration_seconds";
/// Records that were not stored. Label `failure`: `too_large`, `unroutable`, `full`, `unavailable`.
pub const PUBLISH_FAILURES: &str = "trunkline_publish_failures_total";
/// How long a hand-over took. Label `service`.
pub const HAND_OVER_DURATION: &str = "trunkline_hand_over_duration_seconds";
/// Hand-overs that did not happen. Labels `service`, `failure`: `refused`, `unavailable`, `fenced`.
pub const HAND_OVER_FAILURES: &str = "trunkline_hand_over_failures_total";
/// Alarm: hand-overs that can't be done now and are tried until they can. Label `service`.
pub const HAND_OVER_STUCK: &str = "trunkline_hand_over_stuck";
/// Leases that this process got and gave up, a rebalance being several of them. Labels `channel`, `group`, `change`:
/// `assigned`, `revoked`, `lost` (without having been revoked before: whatever was under way is done again elsewhere).
pub const LEASE_CHANGES: &str = "trunkline_lease_changes_total";
/// The store did not do what it was asked. Label `service`.
pub const STORE_FAILURES: &str = "trunkline_store_failures_total";
/// Alarm: 1 while the store can't be had. Label `service`: what the process runs.
pub const STORE_UNREACHABLE: &str = "trunkline_store_unreachable";
/// Alarm: 1 while the broker can't be had. Label `service`: what the process runs.
pub const BROKER_UNREACHABLE: &str = "trunkline_broker_unreachable";

/// Exports of OpenTelemetry that a collector did not take. Label `signal`: `traces`, `metrics`.
pub const TELEMETRY_FAILURES: &str = "trunkline_telemetry_failures_total";

/// Memory in use.
pub const PROCESS_MEMORY: &str = "process_resident_memory_bytes";
/// Processor time used.
pub const PROCESS_CPU: &str = "process_cpu_seconds_total";
/// Open file descriptors.
pub const PROCESS_FDS: &str = "process_open_fds";

/// Bounds of histograms of durations within a process or to a platform.
pub(crate) const DURATION_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Bounds of histograms of ages, which retries make long.
pub(crate) const AGE_BUCKETS: [f64; 11] =
    [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 21_600.0, 86_400.0];
/// Bounds of histograms of batches.
pub(crate) const BATCH_BUCKETS: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Describes every metric to the recorder; once per process.
pub fn describe() {
    describe_services();
    describe_deliveries();
    describe_ground();
}

fn describe_services() {
    describe_counter!(GATEWAY_ACCEPTED, Unit::Count, "Events stored on the bus, by entry and source.");
    describe_counter!(GATEWAY_REFUSED, Unit::Count, "Requests refused, by reason.");
    describe_counter!(GATEWAY_DUPLICATES, Unit::Count, "Events that had been accepted before.");
    describe_counter!(GATEWAY_UNSIGNED, Unit::Count, "Webhooks whose signature was refused, by source.");
    describe_counter!(GATEWAY_NOT_NORMALIZED, Unit::Count, "Authenticated webhooks that did not normalize.");
    describe_histogram!(GATEWAY_REQUEST_DURATION, Unit::Seconds, "From a request's last byte to its answer.");
    describe_gauge!(GATEWAY_CONNECTIONS, Unit::Count, "Connections open now.");
    describe_counter!(ROUTER_EVENTS, Unit::Count, "Events routed, filtered or undecodable.");
    describe_counter!(ROUTER_DELIVERIES, Unit::Count, "Deliveries made, by subscription and destination.");
    describe_counter!(ROUTER_RULE_FAILURES, Unit::Count, "Conditions and transforms that failed.");
    describe_gauge!(
        ROUTER_RESTRAINED,
        Unit::Count,
        "1 while programs get less time, having been stopped too often."
    );
    describe_histogram!(ROUTER_BATCH_RECORDS, Unit::Count, "Records in a batch of the router.");
    describe_gauge!(ROUTER_SUBSCRIPTIONS, Unit::Count, "Subscriptions in use.");
    describe_counter!(CONSOLE_DEAD_LETTERS, Unit::Count, "Dead letters read into the store.");
    describe_counter!(CONSOLE_REPLAYED, Unit::Count, "Deliveries replayed.");
}

fn describe_deliveries() {
    describe_counter!(DELIVERY_ATTEMPTS, Unit::Count, "Attempts, by destination and class of outcome.");
    describe_histogram!(DELIVERY_DURATION, Unit::Seconds, "How long an attempt took.");
    describe_histogram!(DELIVERY_AGE, Unit::Seconds, "From routed to delivered.");
    describe_counter!(DELIVERY_DEAD_LETTERS, Unit::Count, "Deliveries that became dead letters.");
    describe_gauge!(DELIVERY_HELD, Unit::Count, "1 while a destination takes no deliveries.");
    describe_gauge!(DELIVERY_IN_FLIGHT, Unit::Count, "Attempts under way.");
    describe_gauge!(DELIVERY_WAITING, Unit::Count, "Deliveries in memory that wait for their attempt.");
}

fn describe_ground() {
    describe_gauge!(BUILD_INFO, Unit::Count, "Which build this is; always 1.");
    describe_counter!(CONFIG_RELOADS, Unit::Count, "Changed configurations, by outcome.");
    describe_gauge!(CONFIG_REFUSED, Unit::Count, "Alarm: 1 while the configuration's files are refused.");
    describe_gauge!(CHANNEL_LAG, Unit::Count, "Unsettled records, delayed ones included.");
    describe_gauge!(CHANNEL_OLDEST, Unit::Seconds, "Age of the oldest unsettled record.");
    describe_gauge!(CHANNEL_KEEP, Unit::Seconds, "How long a channel is to keep records.");
    describe_gauge!(CHANNEL_DAMAGED, Unit::Count, "Alarm: 1 once records of a channel were found damaged.");
    describe_histogram!(PUBLISH_DURATION, Unit::Seconds, "From publishing a batch to its confirmation.");
    describe_counter!(PUBLISH_FAILURES, Unit::Count, "Records that were not stored.");
    describe_histogram!(HAND_OVER_DURATION, Unit::Seconds, "How long a hand-over took.");
    describe_counter!(HAND_OVER_FAILURES, Unit::Count, "Hand-overs that did not happen.");
    describe_gauge!(HAND_OVER_STUCK, Unit::Count, "Alarm: hand-overs that can't be done now.");
    describe_counter!(LEASE_CHANGES, Unit::Count, "Leases assigned, revoked and lost.");
    describe_counter!(STORE_FAILURES, Unit::Count, "The store did not do what it was asked.");
    describe_gauge!(STORE_UNREACHABLE, Unit::Count, "Alarm: 1 while the store can't be had.");
    describe_gauge!(BROKER_UNREACHABLE, Unit::Count, "Alarm: 1 while the broker can't be had.");
    describe_counter!(TELEMETRY_FAILURES, Unit::Count, "Exports that a collector did not take.");
    describe_gauge!(PROCESS_MEMORY, Unit::Bytes, "Memory in use.");
    describe_counter!(PROCESS_CPU, Unit::Seconds, "Processor time used.");
    describe_gauge!(PROCESS_FDS, Unit::Count, "Open file descriptors.");
}
