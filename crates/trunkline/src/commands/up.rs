//! `up` and `run SERVICE`.

use anyhow::Context as _;
use trunkline_sdk::service::{Exit, init_logs, on_signals};

use super::{Common, Usage};
use crate::check::Purpose;
use crate::cli::{PlaceArgs, RunArgs, Service};
use crate::compose::{self, Plan};

pub(super) fn run(
    common: &Common,
    purpose: Purpose,
    place: PlaceArgs,
    args: &RunArgs,
) -> anyhow::Result<Exit> {
    check(purpose, &place)?;
    init_logs(None, None)?;
    let plan = Plan { config: common.config.clone(), purpose, place, grace: args.grace, wait: args.wait };
    let runtime = compose::runtime()?;
    let ended = runtime.block_on(async {
        let shutdown = on_signals().context("signals can't be listened for")?;
        Box::pin(compose::run(plan, shutdown)).await
    });
    // A thread that is stuck in a system call does not keep the process from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended.map(|()| Exit::Done)
}

/// An option that a service does not have is a mistake, not something to pass over.
fn check(purpose: Purpose, place: &PlaceArgs) -> Result<(), Usage> {
    let Purpose::Run(service) = purpose else { return Ok(()) };
    let wrong = |option: &str, of: &str| {
        Err(Usage(format!("`{option}` is for the {of}; the {} has none", service.name())))
    };
    if !place.only.is_empty() && service != Service::Dispatcher {
        return wrong("--only", "dispatcher");
    }
    if place.listen.is_some() && !matches!(service, Service::Gateway | Service::Console) {
        return wrong("--listen", "gateway and the console");
    }
    Ok(())
}
