//! `backup`: what is kept in files of this machine, copied while the bus runs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use trunkline_sdk::config::Shared;
use trunkline_sdk::service::{Exit, back_up_broker, back_up_store};

use super::{Common, Usage};
use crate::check::{Judgement, Purpose, judge};
use crate::output;

/// The engine is copied before the store: what the store has taken over in between is then in both, and nothing is in
/// neither.
pub(super) async fn run(common: &Common, to: &Path) -> anyhow::Result<Exit> {
    let Judgement { valid, diagnostics } =
        judge(&common.config, Purpose::Look, &trunkline_adapters::registry()).await;
    output::diagnostics(&diagnostics, common.json);
    let Some(valid) = valid else { return Ok(Exit::No) };
    let shown = output::shown(&to.display().to_string());
    if to.exists() {
        return Err(Usage(format!("{shown} is there already; name a folder that is not")).into());
    }
    // Under another name until it is whole, so that half a copy is never taken for one.
    let partial = partial(to)?;
    std::fs::create_dir(&partial).with_context(|| format!("{} can't be made", partial.display()))?;
    let copied = copy(&valid.shared, &partial).await;
    let (broker, store) = match copied {
        Ok(copied) => copied,
        Err(error) => {
            drop(std::fs::remove_dir_all(&partial));
            return Err(error);
        }
    };
    if !broker && !store {
        drop(std::fs::remove_dir(&partial));
        let why = "broker and store are servers: copy them with their own tools (docs/upgrading.md)";
        return Err(Usage(why.to_owned()).into());
    }
    std::fs::rename(&partial, to).with_context(|| format!("{shown} can't be made"))?;
    told(common, "broker", broker.then(|| to.join("broker")));
    told(common, "store", store.then(|| to.join("store.db")));
    Ok(Exit::Done)
}

fn partial(to: &Path) -> Result<PathBuf, Usage> {
    let name = to.file_name().ok_or_else(|| Usage("name a folder that is not there yet".to_owned()))?;
    let mut name = name.to_owned();
    name.push(".partial");
    Ok(to.with_file_name(name))
}

async fn copy(shared: &Shared, into: &Path) -> anyhow::Result<(bool, bool)> {
    let broker = back_up_broker(shared, &into.join("broker")).await.context("`broker` is not copied")?;
    let store = back_up_store(shared, &into.join("store.db")).await.context("`store` is not copied")?;
    std::fs::File::open(into).and_then(|folder| folder.sync_all())?;
    Ok((broker, store))
}

fn told(common: &Common, what: &str, copy: Option<PathBuf>) {
    let copy = copy.map(|path| path.display().to_string());
    if common.json {
        return output::json(&json!({ "part": what, "copy": copy }));
    }
    let copy =
        copy.as_deref().map_or("not copied: a server, which its own tools copy".to_owned(), output::shown);
    output::line(&format!("{what}: {copy}"));
}
