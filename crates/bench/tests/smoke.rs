//! Every probe at a tiny size: it runs, and its own check finds everything it sent.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;
use std::sync::Once;

use xtask::brokers;

/// Builds the binary that `idle` and `route` start; it stands beside this one.
fn build() {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--quiet", "--workspace", "--bin", "trunkline"])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .status()
            .unwrap();
        assert!(built.success());
    });
}

/// What a measurement of a hundredth of the work prints.
fn measure(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    build();
    let measured = Command::new(env!("CARGO_BIN_EXE_trunkline-bench"))
        .args(["--rounds", "1", "--divide", "100"])
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&measured.stdout).into_owned();
    assert!(measured.status.success(), "{printed}\n{}", String::from_utf8_lossy(&measured.stderr));
    printed
}

#[test]
fn every_probe_runs_and_accounts_for_its_records() {
    let printed = measure(&[], &[]);
    for (probe, lines) in [("embedded: ", 3), ("route: ", 2), ("match: ", 4), ("gateway: ", 2), ("idle: ", 2)]
    {
        assert_eq!(printed.lines().filter(|line| line.starts_with(probe)).count(), lines, "{printed}");
    }
}

/// The router and its limit on the brokers of the run.
#[track_caller]
fn route(arguments: &[&str]) {
    let case = format!("the router measured with {}", arguments.join(" "));
    let Some(shared) = brokers::shared_or_skip(&case).unwrap() else { return };
    let (kafka, rabbitmq) = (shared.kafka().unwrap().url(), shared.rabbitmq().unwrap().url().to_owned());
    let postgres = shared.postgres().unwrap().url;
    let environment = [
        ("TRUNKLINE_TEST_KAFKA", kafka.as_str()),
        ("TRUNKLINE_TEST_RABBITMQ", rabbitmq.as_str()),
        ("TRUNKLINE_TEST_POSTGRES", postgres.as_str()),
    ];
    let printed = measure(&[&["route"], arguments].concat(), &environment);
    assert_eq!(printed.lines().filter(|line| line.starts_with("route: ")).count(), 2, "{printed}");
}

#[test]
fn on_kafka() {
    route(&["--engine", "kafka"]);
}

#[test]
fn on_kafka_in_transactions() {
    route(&["--engine", "kafka", "--exactly-once"]);
}

#[test]
fn on_rabbitmq() {
    route(&["--engine", "rabbitmq"]);
}
