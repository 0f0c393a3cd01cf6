//! The runtime against scripted platforms, on an engine in memory and paused time, so that hours pass in no time and
//! every figure is exact.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod changes;
mod engine;
mod faults;
mod holds;
mod order;
mod platform;
mod retries;
mod states;
mod world;
