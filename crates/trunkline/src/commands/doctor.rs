//! `doctor`: what a configuration names, looked at where it is.

use serde_json::json;
use trunkline_core::config::Diagnostics;
use trunkline_sdk::service::Exit;

use super::{Common, named};
use crate::check::{Judgement, Purpose, judge};
use crate::cli::DoctorArgs;
use crate::doctor::{Limits, Report, examine};
use crate::output;

/// Runs on a runtime of its own, which is left behind: what blocks on a server that hangs would keep it.
pub(super) fn run(common: &Common, args: &DoctorArgs) -> anyhow::Result<Exit> {
    let runtime = crate::compose::runtime()?;
    let exit = runtime.block_on(told(common, args));
    runtime.shutdown_background();
    Ok(exit)
}

async fn told(common: &Common, args: &DoctorArgs) -> Exit {
    let adapters = trunkline_adapters::registry();
    let Judgement { valid, diagnostics } = judge(&common.config, Purpose::Look, &adapters).await;
    let mut report = match valid {
        Some(valid) => {
            let limits = Limits { within: args.within, room: args.room.0 };
            examine(valid.shared, &adapters, limits).await
        }
        None => {
            let what = "broker, store and destinations: the configuration is not valid".to_owned();
            Report { unseen: vec![("all".to_owned(), what)], ..Report::default() }
        }
    };
    let mut findings = Diagnostics::new();
    findings.extend(diagnostics);
    findings.extend(std::mem::take(&mut report.findings));
    report.findings = findings.into_sorted();
    print(&report, common);
    if report.findings.is_empty() { Exit::Done } else { Exit::No }
}

fn print(report: &Report, common: &Common) {
    output::diagnostics(&report.findings, common.json);
    let (errors, warnings) = output::counted(&report.findings);
    if common.json {
        let told = |word: &str, list: &[(String, String)]| {
            list.iter().for_each(|(part, what)| output::json(&json!({ "part": part, word: what })));
        };
        told("seen", &report.seen);
        told("unseen", &report.unseen);
        output::json(&json!({ "findings": errors + warnings, "errors": errors, "warnings": warnings }));
        return;
    }
    report.seen.iter().for_each(|(part, what)| output::text(&format!("{part}: {what}")));
    report.unseen.iter().for_each(|(part, what)| output::text(&format!("not looked at: {part}: {what}")));
    let file = named(&common.config);
    let summary = match errors + warnings {
        0 => format!("{file}: nothing found"),
        1 => format!("{file}: 1 finding"),
        count => format!("{file}: {count} findings, {errors} of them errors"),
    };
    output::line(&summary);
}
