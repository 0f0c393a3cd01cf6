//! Secrets that are not set: a warning in a look, an error for a start of what needs them.

use trunkline_core::config::{Diagnostic, Diagnostics, Node, Severity};
use trunkline_sdk::config::{Shared, code, report_unset};

use super::Purpose;
use crate::cli::Service;

/// Reports the unset secrets of the sections that no adapter reads, and once more as errors those that `purpose` needs.
pub(super) fn judge(shared: &Shared, purpose: Purpose, diagnostics: &mut Diagnostics) {
    let secrets = shared.secrets();
    let mut report = |node: &Node, severity| report_unset(node, &secrets, severity, diagnostics);
    for section in ["broker", "store", "gateway", "router", "dispatcher", "console"] {
        if let Some(node) = shared.section_node(section) {
            let needed = match purpose {
                Purpose::Look => false,
                Purpose::Up => true,
                Purpose::Run(service) => matches!(section, "broker" | "store") || section == service.name(),
            };
            report(node, severity(needed));
        }
    }
    // The console makes sources too: what a webhook did not become is normalized again by a replay.
    let sources = matches!(purpose, Purpose::Up | Purpose::Run(Service::Gateway | Service::Console));
    if sources {
        shared.sources.values().for_each(|entry| report(&entry.settings, Severity::Error));
    }
    if matches!(purpose, Purpose::Up | Purpose::Run(Service::Dispatcher)) {
        let ours = shared.destinations.values().filter(|entry| !entry.external);
        ours.for_each(|entry| report(&entry.settings, Severity::Error));
    }
}

fn severity(needed: bool) -> Severity {
    if needed { Severity::Error } else { Severity::Warning }
}

/// Without the warnings about an unset secret of which there is an error too.
pub(super) fn without_doubles(mut sorted: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let same =
        |a: &Diagnostic, b: &Diagnostic| a.code == b.code && a.place == b.place && a.message == b.message;
    let errors: Vec<Diagnostic> = sorted
        .iter()
        .filter(|diagnostic| diagnostic.code == code::UNSET_SECRET && diagnostic.severity == Severity::Error)
        .cloned()
        .collect();
    sorted
        .retain(|found| found.severity == Severity::Error || !errors.iter().any(|error| same(error, found)));
    sorted
}
