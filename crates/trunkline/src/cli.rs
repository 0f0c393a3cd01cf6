//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trunkline_core::DestinationName;
use trunkline_core::config::SizeSetting;

/// Carries business events between platforms, over the broker you already run.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The configuration: a YAML file, or a folder of them
    #[arg(
        short,
        long,
        global = true,
        env = "TRUNKLINE_CONFIG",
        default_value = "trunkline.yaml",
        value_name = "FILE"
    )]
    pub(crate) config: PathBuf,
    /// One JSON object a line instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// See it work: webhooks in, a failing platform, retries, dead letters, replay, the account
    Demo(DemoArgs),
    /// Run all services in this process
    Up(RunArgs),
    /// Run one service in this process
    Run {
        /// Which one
        service: Service,
        #[command(flatten)]
        run: RunArgs,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Say everything that is wrong with the configuration
    Check,
    /// Look at broker, store, destinations, secrets, clock and disk, and say what is wrong; changes nothing
    ///
    /// Reads only: no channel, record, table or file is made, taken or changed, and nothing is delivered. HTTP destinations
    /// are asked by OPTIONS with their credentials. It may run beside the services. Ends with 0 when nothing was found, with 1
    /// when something was; what could not be looked at is named.
    Doctor(DoctorArgs),
    /// Copy what is kept in files here, the embedded engine's directory and a SQLite store; the bus may run meanwhile
    Backup {
        /// A folder that is not there yet
        to: PathBuf,
    },
    /// See what would become of an event; sends nothing
    Try {
        /// A CloudEvent as JSON (structured mode); `-` for standard input
        event: PathBuf,
    },
    /// Publish CloudEvents through the gateway
    Publish {
        /// A CloudEvent as JSON, or a list of them; `-` for standard input
        event: PathBuf,
    },
    /// Show records of a channel as they come
    Tail {
        /// `events`, `journey`, `deliver.NAME` or `dead.NAME`
        #[arg(default_value = "events")]
        channel: String,
        /// Begin with the oldest record kept
        #[arg(long)]
        oldest: bool,
        /// End after so many records
        #[arg(long, value_name = "N")]
        limit: Option<u64>,
    },
    /// Dead letters: list, show, replay, discard
    #[command(subcommand)]
    Dlq(Box<Dlq>),
    /// Say where an event is and how it came there
    Explain {
        /// The event's id, or what it begins with
        id: String,
        /// The event's source, where several events share an id
        #[arg(long)]
        source: Option<String>,
    },
    /// Destinations with their state, what waits for them and what is dead
    Destinations,
    /// Deliver nothing to a destination until it is resumed; everything waits
    Pause {
        /// The destination
        destination: String,
        /// Why, for the others
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Deliver to a destination again: ends a pause, a hold or a disablement
    Resume {
        /// The destination
        destination: String,
    },
    /// Ask a process of this machine whether its services are ready, for health checks of containers
    Health {
        /// Where it serves health and metrics
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9600")]
        admin: SocketAddr,
    },
    /// The adapters in this build
    Adapters,
    /// The JSON Schema of the configuration, for editors
    Schema,
    /// The version
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Service {
    Gateway,
    Router,
    Dispatcher,
    Console,
}

impl Service {
    /// Every service, in the order in which they are told to stop.
    pub(crate) const ALL: [Service; 4] =
        [Service::Gateway, Service::Router, Service::Dispatcher, Service::Console];

    /// Its name, which is also that of its section.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Service::Gateway => "gateway",
            Service::Router => "router",
            Service::Dispatcher => "dispatcher",
            Service::Console => "console",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// How long services may take to settle what is under way after SIGTERM
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) grace: std::time::Duration,
    /// How long to wait at the start for a broker and a store that are not there yet
    #[arg(long, default_value = "1m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) wait: std::time::Duration,
}

/// What tells one process of a service from another.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// Host these destinations only (dispatcher); may be given several times
    #[arg(long, value_name = "DESTINATION", value_parser = DestinationName::parse)]
    pub(crate) only: Vec<DestinationName>,
    /// Listen here instead of on the configuration's address (gateway, console)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Serve health and metrics here instead of on the configuration's address
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// How long the look at each part may take
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) within: std::time::Duration,
    /// How much free room a disk should have
    #[arg(long, default_value = "512MiB", value_name = "SIZE")]
    pub(crate) room: SizeSetting,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Leave it running, with its addresses and the next commands printed
    #[arg(long)]
    pub(crate) keep: bool,
    /// The failing platform never recovers: its dead letters stay dead
    #[arg(long)]
    pub(crate) keep_failing: bool,
    /// The broker; unless given, the embedded engine in a temporary folder
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dlq {
    /// Dead letters, newest first; with --group by cause
    List {
        #[command(flatten)]
        filter: Filter,
        /// By cause, most first
        #[arg(long)]
        group: bool,
        /// How many at most
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: u32,
    },
    /// One dead letter: event, request, answers, attempts, history
    Show {
        /// Its id
        id: String,
    },
    /// Give dead letters another life
    Replay {
        /// Ids of dead letters; none to take those that the filter means
        ids: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// Only say what would be replayed
        #[arg(long)]
        dry_run: bool,
        /// Also what was replayed, delivered or discarded, or was replayed too often
        #[arg(long)]
        force: bool,
        /// Send the stored body instead of today's transform's
        #[arg(long)]
        as_it_was: bool,
        /// At most so many, for example 50/s
        #[arg(long)]
        rate: Option<String>,
        /// Do not wait for its end
        #[arg(long)]
        no_wait: bool,
    },
    /// Give dead letters up
    Discard {
        /// Ids of dead letters; none to take those that the filter means
        ids: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// Why; kept with them and in the audit log
        #[arg(long)]
        reason: String,
        /// Only say how many would be discarded
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which dead letters are meant: those that fit everything given.
#[derive(Debug, Default, Args, serde::Serialize)]
pub(crate) struct Filter {
    /// Of this destination, of `router` or of `gateway`
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) destination: Option<String>,
    /// Of this subscription
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscription: Option<String>,
    /// Of events of this source
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Of events of this type
    #[arg(long = "type")]
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// With this reason, for example rejected, attempts_exhausted, transform_failed
    // Not `reason`, which is what a discard is given: flattened arguments share their names.
    #[arg(id = "because", long, value_name = "REASON")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// In this state: waiting, replaying, delivered, dead_again, discarded
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// With this status code in the last attempt
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u32>,
    /// Died at this time (RFC 3339) or later
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// Died before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<String>,
    /// Ids, where they are given
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ids: Option<Vec<String>>,
}

impl Filter {
    /// The filter with these ids, where there are any.
    pub(crate) fn with_ids(mut self, ids: Vec<String>) -> Self {
        self.ids = Some(ids).filter(|ids| !ids.is_empty());
        self
    }
}
