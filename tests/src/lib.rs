//! What every integration test of Trunkline needs. The tests themselves are in `suite/`, one binary.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this crate serves tests only")]

pub mod workspace;
