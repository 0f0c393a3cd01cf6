//! `check`: everything that is wrong with the configuration.

use serde_json::json;
use trunkline_sdk::service::Exit;

use super::{Common, named};
use crate::check::{Judgement, Purpose, judge};
use crate::output;

pub(super) async fn run(common: &Common) -> anyhow::Result<Exit> {
    let adapters = trunkline_adapters::registry();
    let Judgement { valid, diagnostics } = judge(&common.config, Purpose::Look, &adapters).await;
    output::diagnostics(&diagnostics, common.json);
    let (errors, warnings) = output::counted(&diagnostics);
    if common.json {
        output::json(&json!({ "valid": valid.is_some(), "errors": errors, "warnings": warnings }));
    } else {
        let found = format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
        let file = named(&common.config);
        match valid {
            Some(valid) => output::line(&format!(
                "{file} is valid ({found}): {}, {}",
                count(valid.shared.sources.len(), "source"),
                count(valid.shared.destinations.len(), "destination"),
            )),
            None => output::line(&format!("{file} is not valid: {found}")),
        }
    }
    Ok(if errors == 0 { Exit::Done } else { Exit::No })
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
