//! The integration tests of Trunkline, one binary: real processes, real HTTP, real files, real signals.
//!
//! Nothing here is retried and nothing sleeps to wait: a case polls for what must become true, with a deadline that only a
//! broken build meets. Cases that kill processes are under `chaos`, which `cargo xtask chaos` runs at their full count.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and prints what it skipped or found"
)]

mod alarms;
mod attacks;
mod backed_up;
mod chaos;
mod delivery;
mod demo;
mod deployed;
mod doctor;
mod gateway;
mod golden;
mod keys;
mod kubernetes;
mod outside;
mod processes;
mod python;
mod scale;
mod telemetry;
mod tidy;
mod upgraded;
mod webhooks;

/// Long enough for anything that is going to happen on a busy machine.
const SOON: std::time::Duration = std::time::Duration::from_secs(30);
