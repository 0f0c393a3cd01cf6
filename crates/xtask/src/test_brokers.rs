//! `cargo xtask brokers`: the shared test brokers by hand.

use xtask::brokers::{self, Kind, Status};

/// What `cargo xtask brokers` takes.
#[derive(clap::Subcommand)]
pub(crate) enum Action {
    /// Install what is missing and start those that do not run, on empty data
    Up(Which),
    /// End those that `up` started and remove their data
    Down(Which),
    /// Addresses, process ids and memory
    Status,
}

#[derive(clap::Args)]
pub(crate) struct Which {
    /// kafka, rabbitmq, postgres; none for all
    #[arg(value_parser = kind)]
    kinds: Vec<Kind>,
}

impl Which {
    fn kinds(&self) -> Vec<Kind> {
        if self.kinds.is_empty() { Kind::ALL.to_vec() } else { self.kinds.clone() }
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let found = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("one of {}", Kind::ALL.map(Kind::name).join(", ")))
}

/// # Errors
/// A broker can't be installed or does not start; the state of the brokers can't be read.
pub(crate) fn run(action: &Action) -> anyhow::Result<()> {
    match action {
        Action::Up(which) => {
            brokers::up(&which.kinds())?;
            print(&brokers::status()?);
        }
        Action::Down(which) => {
            for kind in brokers::down(&which.kinds())? {
                println!("{kind} ended");
            }
        }
        Action::Status => print(&brokers::status()?),
    }
    Ok(())
}

fn print(all: &[Status]) {
    if all.is_empty() {
        println!("no test broker was started: cargo xtask brokers up");
    }
    for status in all {
        let process = match status.id {
            Some(id) => format!("process {id}, {} MiB", status.memory >> 20),
            None => "does not run".to_owned(),
        };
        println!("{}: {process}\n  {}={}", status.kind, status.kind.variable(), status.url);
        for (listener, address) in &status.further {
            println!("  {listener}: {address}");
        }
    }
}
