//! What the command line does, one file a command.

use std::future::Future;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use reqwest::StatusCode;
use trunkline_sdk::service::{Exit, TelemetryError};

use crate::check::Purpose;
use crate::cli::{Cli, Command, PlaceArgs};
use crate::client::{NoAnswer, Refused};

mod adapters;
mod addresses;
mod backup;
mod check;
mod destinations;
mod dlq;
mod doctor;
mod explain;
mod health;
mod input;
mod publish;
pub(crate) mod replay;
mod schema;
mod tail;
mod try_out;
mod up;
mod version;

/// What every command is told.
pub(crate) struct Common {
    /// The configuration's file or folder.
    pub(crate) config: PathBuf,
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
}

/// Something was asked that can't be: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Does what was typed.
///
/// # Errors
/// Whatever went wrong; [`exit_of`] says the exit code.
pub(crate) fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    let common = Common { config: cli.config, json: cli.json };
    match cli.command {
        Command::Demo(args) => crate::demo::run(&args),
        Command::Up(args) => up::run(&common, Purpose::Up, PlaceArgs::default(), &args),
        Command::Run { service, run, place } => up::run(&common, Purpose::Run(service), place, &run),
        Command::Check => block_on(check::run(&common)),
        Command::Doctor(args) => doctor::run(&common, &args),
        Command::Backup { to } => block_on(backup::run(&common, &to)),
        Command::Try { event } => block_on(try_out::run(&common, &event)),
        Command::Publish { event } => block_on(publish::run(&common, &event)),
        Command::Tail { channel, oldest, limit } => block_on(tail::run(&common, &channel, oldest, limit)),
        Command::Dlq(command) => block_on(dlq::run(&common, *command)),
        Command::Explain { id, source } => block_on(explain::run(&common, &id, source)),
        Command::Destinations => block_on(destinations::list(&common)),
        Command::Pause { destination, reason } => {
            block_on(destinations::pause(&common, &destination, &reason))
        }
        Command::Resume { destination } => block_on(destinations::resume(&common, &destination)),
        Command::Health { admin } => block_on(health::run(&common, admin)),
        Command::Adapters => Ok(adapters::run(&common)),
        Command::Schema => Ok(schema::run(&common)),
        Command::Version => Ok(version::run(&common)),
    }
}

/// Runs a short command on this thread.
fn block_on(command: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the runtime does not start")?.block_on(command)
}

/// The exit code of an error.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if cause.is::<Usage>() || cause.is::<TelemetryError>() {
            return Exit::Usage;
        }
        if cause.is::<NoAnswer>() {
            return Exit::Unavailable;
        }
        if let Some(refused) = cause.downcast_ref::<Refused>() {
            let later = refused.status == StatusCode::SERVICE_UNAVAILABLE;
            return if later { Exit::Unavailable } else { Exit::No };
        }
    }
    Exit::of(error.as_ref())
}

/// The rest of a path after its own name of a thing, percent-encoded, so that a name can't name another path.
fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A configuration as people name it.
fn named(path: &Path) -> String {
    crate::output::shown(&path.display().to_string())
}
