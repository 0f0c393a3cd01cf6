//! `trunkline check` for adapters: every entry is read and made, nothing is contacted.

use trunkline_core::config::{Diagnostics, Node, Severity};

use super::error::find;
use super::{Adapters, MakeError};
use crate::config::{Shared, report_unset, unset_secrets};
use crate::destination::Context;
use crate::secrets::Secrets;

impl Adapters {
    /// Makes every source and every destination that is not external, and adds what is wrong to `diagnostics`. A
    /// secret that is not set has `unset` severity (a warning for `trunkline check`, an error for a start); what an adapter
    /// says about a setting without its secret is left out, because it follows from that.
    pub async fn check(
        &self,
        shared: &Shared,
        instance: &str,
        unset: Severity,
        diagnostics: &mut Diagnostics,
    ) {
        for (name, entry) in &shared.sources {
            let context = shared.context(name.as_str(), instance);
            let made = self.make_source(entry, &context).await.err();
            judge(made, &entry.node, &entry.settings, &context, unset, diagnostics);
        }
        for (name, entry) in shared.destinations.iter().filter(|(_, entry)| !entry.external) {
            let context = shared.context(name.as_str(), instance);
            let made = self.make_destination(entry, &context).await.err();
            judge(made, &entry.node, &entry.settings, &context, unset, diagnostics);
        }
    }
}

fn judge(
    error: Option<MakeError>,
    entry: &Node,
    settings: &Node,
    context: &Context,
    unset: Severity,
    diagnostics: &mut Diagnostics,
) {
    report_unset(settings, &context.secrets, unset, diagnostics);
    if let Some(error) = error.filter(|error| !follows_from_unset(error, settings, &context.secrets)) {
        error.report(entry, settings, diagnostics);
    }
}

fn follows_from_unset(error: &MakeError, settings: &Node, secrets: &Secrets) -> bool {
    match error {
        MakeError::Setup(setup) => {
            find(settings, &setup.field).is_some_and(|node| !unset_secrets(node, secrets).is_empty())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
