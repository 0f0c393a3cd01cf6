//! The command line as scripts see it: what is printed where, and with which exit code.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may panic")]

mod binary;
mod check;
mod demo;
mod exit_codes;
mod health;
mod listed;
mod reload;
mod running;
mod try_out;
