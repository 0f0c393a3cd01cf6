//! The integration tests of Trunkline, one binary: real processes, real HTTP, real files, real signals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod tidy;
