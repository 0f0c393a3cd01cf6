//! Trunkline's one binary: every service, and the command line that speaks to them.
#![allow(clippy::print_stdout, reason = "a command line prints")]

use std::process::ExitCode;

use clap::Parser;

mod check;
mod cli;
mod client;
mod commands;
mod compose;
mod demo;
mod doctor;
mod output;

fn main() -> ExitCode {
    // clap prints usage mistakes itself and ends with 2, as the contract says.
    let cli = cli::Cli::parse();
    match commands::dispatch(cli) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(error) => {
            output::failure(&error);
            ExitCode::from(commands::exit_of(&error).code())
        }
    }
}
