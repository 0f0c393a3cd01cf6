//! Developer commands of Trunkline: `cargo xtask COMMAND`. Needs neither make nor bash.
#![allow(clippy::print_stdout, reason = "a command line prints")]

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod chaos;
mod generate;
mod prerequisites;
mod run;
mod session;
mod test;
mod test_brokers;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Trunkline")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need and run every test
    Test(test::Args),
    /// Start, end and list the real brokers that tests share
    #[command(subcommand)]
    Brokers(test_brokers::Action),
    /// Formatting, lints and documentation, warnings denied: what CI checks besides the tests
    Lint,
    /// Fault tests at their full count
    Chaos(chaos::Args),
    /// Measure, with the limit beside ours: embedded, route, match, gateway, idle
    Bench(run::BenchArgs),
    /// Put the binary and its bill of materials where the Dockerfile takes them
    Image,
    /// Write the Rust code and the descriptor set from proto/
    Generate,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Test(arguments) => test::test(&arguments),
        Command::Brokers(action) => test_brokers::run(&action),
        Command::Lint => test::lint(),
        Command::Chaos(arguments) => chaos::chaos(&arguments),
        Command::Bench(arguments) => run::bench(&arguments),
        Command::Image => run::image(),
        Command::Generate => generate::workspace(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
