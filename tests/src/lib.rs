//! What every integration test of Trunkline needs. The tests themselves are in `suite/`, one binary.
//!
//! The system under test is the real binary: an [`Instance`] is a child process with a configuration, a data folder and
//! ports of its own. Nothing of Trunkline's inside is called where HTTP, a signal or a file can say the same.
//! Reliability is judged by a program: producers note what was acknowledged in a [`Ledger`], and an [`Oracle`] compares
//! it with what destinations received.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "this crate serves tests only")]

pub mod account;
pub mod answer;
pub mod collector;
pub mod command;
pub mod compose;
pub mod docker;
pub mod dockerfile;
pub mod fixture;
pub mod fleet;
pub mod ground;
pub mod heavy;
pub mod instance;
pub mod kafka;
pub mod ledger;
pub mod load;
pub mod oracle;
pub mod poll;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod python;
pub mod recorded;
pub mod rounds;
pub mod setup;
pub mod signing;
pub mod steady;
pub mod under_load;
pub mod watching;
pub mod wire;
pub mod workspace;

pub use answer::Answered;
pub use fleet::Fleet;
pub use ground::Ground;
pub use instance::Instance;
pub use ledger::{Ledger, Tag};
pub use oracle::{Oracle, Verdict};
pub use poll::eventually;
pub use process::Process;
pub use rounds::{Seed, counted, rounds};
pub use setup::Setup;
pub use under_load::{RECOVERED, Scene, UnderLoad};
