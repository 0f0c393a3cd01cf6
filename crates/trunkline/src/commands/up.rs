//! `up` and `run SERVICE`.

use anyhow::Context as _;
use trunkline_core::DestinationName;
use trunkline_sdk::service::{Exit, init_logs, on_signals};

use super::Common;
use crate::check::Purpose;
use crate::cli::RunArgs;
use crate::compose::{self, Plan};

pub(super) fn run(
    common: &Common,
    purpose: Purpose,
    only: Vec<DestinationName>,
    args: &RunArgs,
) -> anyhow::Result<Exit> {
    init_logs(None, None)?;
    let plan = Plan { config: common.config.clone(), purpose, only, grace: args.grace };
    let runtime = compose::runtime()?;
    let ended = runtime.block_on(async {
        let shutdown = on_signals().context("signals can't be listened for")?;
        Box::pin(compose::run(plan, shutdown)).await
    });
    // A thread that is stuck in a system call does not keep the process from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended.map(|()| Exit::Done)
}
