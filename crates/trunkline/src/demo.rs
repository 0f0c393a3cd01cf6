//! `demo`.
use crate::cli::DemoArgs;
use trunkline_sdk::service::Exit;
pub(crate) fn run(_args: &DemoArgs) -> anyhow::Result<Exit> {
    anyhow::bail!("not yet")
}
