//! `trunkline-bench`: limits and loads.
#![allow(clippy::print_stdout, reason = "a command line prints")]

use clap::Parser as _;
use trunkline_bench::gateway::{load, serve};
use trunkline_bench::place::Place;
use trunkline_bench::{Effort, pass, process};

mod cli;

use cli::{Cli, Command};

const QUICK: Effort = Effort { rounds: 2, divide: 4 };

fn main() -> anyhow::Result<()> {
    let Cli { command, rounds, dir, divide, quick } = Cli::parse();
    let effort = Effort { rounds: rounds.max(1), divide: divide.max(1) };
    let effort = if quick { QUICK } else { effort };
    match command {
        Some(Command::Serve { door, folder }) => {
            process::runtime()?.block_on(Box::pin(serve::serve(door, &folder, |line| println!("{line}"))))
        }
        Some(Command::Pass(arguments)) => pass::run(&arguments),
        Some(Command::Load { address, connections, each }) => {
            let took = process::runtime()?.block_on(load::send(&address, connections, each))?;
            println!("{}", took.as_secs_f64());
            Ok(())
        }
        command => {
            let place = Place::new(dir)?;
            println!("files on {}, {} rounds", place.file_system()?, effort.rounds);
            let commands = command.map_or_else(cli::all, |command| vec![command]);
            commands.iter().try_for_each(|command| cli::measure(command, &place, effort))
        }
    }
}
