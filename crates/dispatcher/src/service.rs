//! The dispatcher's start, its following of the configuration, and its stop.

use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{error, info};
use trunkline_sdk::broker::ConsumeError;
use trunkline_sdk::config::{DestinationEntry, Shared};
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::config::{Diagnostics, codes};
use trunkline_sdk::delivery::{Clock, Hosted, RunEnd, Runtime, RuntimeError, RuntimeHandle, RuntimeParts};
use trunkline_sdk::metric;
use trunkline_sdk::service::{Host, Pauses, Roster, ServiceError};

const SERVICE: &str = "dispatcher";
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Runs the dispatcher until the host shuts down. It hosts the destinations named in `only`, or all when that is empty;
/// external ones never.
///
/// # Errors
/// [`ServiceError`]: an adapter that can't be made, a name in `only` that is no destination to be hosted, a store that
/// can't be had at the start, another instance that took over, attempts that were cut off by the end of the grace period.
pub async fn run(host: Host, only: Vec<DestinationName>) -> anyhow::Result<()> {
    check(&only, &host.shared)?;
    let mut roster = Roster::new(host.adapters.clone(), &host.instance);
    let mut configuration = host.configuration.clone();
    let mut pauses = Pauses::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let shared = configuration.borrow_and_update().clone();
        let hosted = roster.update(&shared, |name, entry| choose(&only, name, entry)).await?;
        info!(destinations = hosted.len(), "the dispatcher delivers");
        let (runtime, handle) = Runtime::new(parts(&host, hosted));
        let follow = follow(&host, &handle, &mut configuration, &mut roster, &only);
        let end = tokio::select! {
            end = runtime.run(host.shutdown.clone(), host.grace) => end,
            never = follow => match never {},
        };
        match end {
            Err(RuntimeError::Consume(cause @ ConsumeError::Fatal(_))) if !host.shutdown.is_cancelled() => {
                error!(%cause, "deliveries can't be taken in; trying again");
                host.not_ready(SERVICE, "deliveries can't be taken in");
                sleep(pauses.longer()).await;
            }
            end => return Ok(ended(end)?),
        }
    }
}

fn parts(host: &Host, destinations: Vec<Hosted>) -> RuntimeParts {
    RuntimeParts {
        broker: host.broker.clone(),
        states: Arc::new(host.store.clone()),
        instance: host.instance.clone(),
        journey: host.shared.channels.journey,
        max_record: host.shared.channels.max_record.min(host.broker.capabilities().max_record),
        destinations,
        clock: Clock::system(),
    }
}

fn ended(end: Result<RunEnd, RuntimeError>) -> Result<(), ServiceError> {
    match end {
        Ok(end) if end.settled_all => Ok(()),
        Ok(_cut_off) => {
            Err(ServiceError::Unsettled("attempts were cut off and will be made again".to_owned()))
        }
        Err(RuntimeError::Fenced) => Err(ServiceError::Fenced),
        Err(error @ RuntimeError::States(_)) => Err(ServiceError::unavailable("the store", error)),
        Err(error) => Err(ServiceError::unavailable("the delivery runtime", error)),
    }
}

/// Takes changed configurations over, as long as it is polled. A bad one changes nothing.
async fn follow(
    host: &Host,
    handle: &RuntimeHandle,
    configuration: &mut watch::Receiver<Arc<Shared>>,
    roster: &mut Roster,
    only: &[DestinationName],
) -> std::convert::Infallible {
    if handle.begun().await {
        host.ready(SERVICE);
    }
    while configuration.changed().await.is_ok() {
        let shared = configuration.borrow_and_update().clone();
        let outcome = match take_over(handle, &shared, roster, only).await {
            Ok(destinations) => {
                info!(destinations, "the dispatcher took the changed configuration over");
                "swapped"
            }
            Err(cause) => {
                let cause = format!("{cause:#}");
                error!(cause, "the changed configuration is refused; destinations stay as they were");
                "refused"
            }
        };
        counter!(metric::CONFIG_RELOADS, "service" => SERVICE, "outcome" => outcome).increment(1);
    }
    // Nobody will change the configuration any more; the runtime goes on.
    std::future::pending().await
}

async fn take_over(
    handle: &RuntimeHandle,
    shared: &Shared,
    roster: &mut Roster,
    only: &[DestinationName],
) -> anyhow::Result<usize> {
    let hosted = roster.update(shared, |name, entry| choose(only, name, entry)).await?;
    let destinations = hosted.len();
    handle.replace(hosted).await?;
    Ok(destinations)
}

/// The entry, when it is to be hosted here.
fn choose(
    only: &[DestinationName],
    name: &DestinationName,
    entry: &DestinationEntry,
) -> Option<DestinationEntry> {
    let chosen = !entry.external && (only.is_empty() || only.contains(name));
    chosen.then(|| entry.clone())
}

/// A name that was asked for and is not there is a mistake, at the start; later it is a destination that was removed.
fn check(only: &[DestinationName], shared: &Shared) -> Result<(), ServiceError> {
    let mut diagnostics = Diagnostics::new();
    for name in only {
        let message = match shared.destinations.get(name) {
            Some(entry) if !entry.external => continue,
            Some(_external) => format!("destination `{name}` is external: its own service delivers it"),
            None => format!("there is no destination `{name}`"),
        };
        let node = shared.section_node("destinations").unwrap_or(&shared.root);
        let names: Vec<&str> = shared.destinations.keys().map(DestinationName::as_str).collect();
        let hint = format!("the destinations are {}", names.join(", "));
        diagnostics.push(node.error(codes::WRONG_VALUE, message, Some(hint)));
    }
    if diagnostics.has_errors() { Err(ServiceError::Configuration(diagnostics)) } else { Ok(()) }
}
