//! `demo`: everything in one process, real requests, a platform that fails and recovers, and the account at the end.
//!
//! The bus is the one `up` runs, with `deploy/demo.yaml`; requests take the way a platform's take. Read [`stage`] for what
//! is set up, [`senders`] and [`platforms`] for both ends, [`acts`] for what happens in between.

use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use trunkline_sdk::service::{Exit, init_logs, on_signals};

use crate::check::Purpose;
use crate::cli::{DemoArgs, PlaceArgs};
use crate::compose::{self, Plan};

mod account;
mod acts;
mod lodging;
mod platforms;
mod senders;
mod stage;
mod story;

use stage::Stage;

const GRACE: Duration = Duration::from_secs(5);
/// A broker named on the command line is there, or the name is wrong.
const WAIT: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<Exit> {
    // What happens is told on the terminal; logs are for those who ask for them.
    if std::env::var_os("TRUNKLINE_LOG").is_some() {
        init_logs(None, None)?;
    }
    let runtime = compose::runtime()?;
    let ended = runtime.block_on(Box::pin(play(args)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn play(args: &DemoArgs) -> anyhow::Result<Exit> {
    let shutdown = on_signals().context("signals can't be listened for")?;
    let stage = Stage::set(args.broker.as_deref()).await?;
    let plan = Plan {
        config: stage.config.clone(),
        purpose: Purpose::Up,
        place: PlaceArgs::default(),
        grace: GRACE,
        wait: WAIT,
    };
    let mut bus = tokio::spawn(compose::run(plan, shutdown.clone()));
    let told = tokio::select! {
        told = tell(args, &stage, &shutdown) => told,
        ended = &mut bus => {
            stage.clear().await;
            ended.context("the bus")??;
            // It ends without an error only because it was told to.
            return Ok(Exit::Done);
        }
    };
    shutdown.cancel();
    let ended = bus.await;
    stage.clear().await;
    ended.context("the bus")??;
    told
}

async fn tell(args: &DemoArgs, stage: &Stage, shutdown: &CancellationToken) -> anyhow::Result<Exit> {
    stage.ready().await?;
    let ended_well = acts::play(stage, args.keep_failing).await?;
    if args.keep {
        story::keep(stage);
        shutdown.cancelled().await;
    }
    Ok(if ended_well { Exit::Done } else { Exit::No })
}
