//! The command line, and what its commands print.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use trunkline_bench::gateway::serve;
use trunkline_bench::place::Place;
use trunkline_bench::{Effort, embedded, gateway, idle, matching, route};

#[derive(Parser)]
#[command(name = "trunkline-bench", about = "Measures Trunkline against the limit, both in one run")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// How often limit and ours run
    #[arg(long, global = true, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Where the files of the runs are; on a disk, or synced figures mean nothing [default: target/bench]
    #[arg(long, global = true)]
    pub(crate) dir: Option<PathBuf>,
    /// Divides the amount of work: to see that everything runs, not how fast
    #[arg(long, global = true, default_value_t = 1)]
    pub(crate) divide: u32,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Durable publishing on the embedded engine
    Embedded,
    /// The router on the embedded engine
    Route,
    /// Rule sets
    Match,
    /// Processor time of the gateway
    Gateway,
    /// Memory of an idle `trunkline up`
    Idle,
    /// The serving process of `gateway`
    #[command(hide = true)]
    Serve {
        door: serve::Door,
        #[arg(long)]
        folder: PathBuf,
    },
    /// The load of `gateway`
    #[command(hide = true)]
    Load {
        address: String,
        #[arg(long)]
        connections: u32,
        #[arg(long)]
        each: u32,
    },
}

/// What is measured when nothing is named.
pub(crate) const ALL: [Command; 5] =
    [Command::Embedded, Command::Route, Command::Match, Command::Gateway, Command::Idle];

/// Measures one thing and prints it, a line for each comparison.
pub(crate) fn measure(command: &Command, place: &Place, effort: Effort) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let compared = match command {
        Command::Embedded => embedded::measure(place, effort)?,
        Command::Route => route::measure(place, effort)?,
        Command::Match => matching::measure(effort)?,
        Command::Gateway => gateway::measure(&program, place, effort)?,
        _ => {
            println!("{}", idle::measure(&program.with_file_name("trunkline"), place, effort)?);
            return Ok(());
        }
    };
    compared.iter().for_each(|comparison| println!("{comparison}"));
    Ok(())
}
