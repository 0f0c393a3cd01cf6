//! The command line, and what its commands print.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trunkline_bench::gateway::serve;
use trunkline_bench::pass::Pass;
use trunkline_bench::place::Place;
use trunkline_bench::remote::{self, Trial};
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
    /// Fewer rounds of less work: the order of magnitude in a minute
    #[arg(long, global = true, conflicts_with_all = ["rounds", "divide"])]
    pub(crate) quick: bool,
    /// Divides the amount of work: to see that everything runs, not how fast
    #[arg(long, global = true, default_value_t = 1)]
    pub(crate) divide: u32,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Durable publishing on the embedded engine
    Embedded,
    /// The router
    Route(RouteArgs),
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
    /// The limits of `route` on Kafka and RabbitMQ
    #[command(hide = true)]
    Pass(Pass),
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

/// What `route` takes; all but the engine are for brokers that are processes of their own.
#[derive(Debug, Clone, Args)]
pub(crate) struct RouteArgs {
    #[arg(long, value_enum, default_value = "embedded")]
    engine: Engine,
    /// Bytes of an event's data, at least 256
    #[arg(long, default_value_t = 1024)]
    size: usize,
    /// Of which one matches
    #[arg(long, default_value_t = 1)]
    subscriptions: usize,
    /// Route in transactions (Kafka)
    #[arg(long)]
    exactly_once: bool,
    /// For both sides (Kafka): none, lz4, ..
    #[arg(long, default_value = "none")]
    compression: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Embedded,
    Kafka,
    Rabbitmq,
}

/// What is measured when nothing is named.
pub(crate) fn all() -> Vec<Command> {
    let embedded = RouteArgs {
        engine: Engine::Embedded,
        size: 1024,
        subscriptions: 1,
        exactly_once: false,
        compression: String::new(),
    };
    vec![Command::Embedded, Command::Route(embedded), Command::Match, Command::Gateway, Command::Idle]
}

/// Measures one thing and prints it, a line for each comparison.
pub(crate) fn measure(command: &Command, place: &Place, effort: Effort) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let compared = match command {
        Command::Embedded => embedded::measure(place, effort)?,
        Command::Route(RouteArgs { engine: Engine::Embedded, .. }) => route::measure(place, effort)?,
        Command::Route(arguments) => {
            println!("{}", remote::WHAT_IS_COMPARED);
            remote::measure(&arguments.trial(), &program, place, effort)?
        }
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

impl RouteArgs {
    fn trial(&self) -> Trial {
        Trial {
            engine: match self.engine {
                Engine::Kafka => remote::Engine::Kafka,
                _ => remote::Engine::Rabbitmq,
            },
            bytes: self.size.max(256),
            subscriptions: self.subscriptions.max(1),
            exactly_once: self.exactly_once,
            compression: self.compression.clone(),
        }
    }
}
