//! A changed configuration replaces the rule set as a whole, or not at all.

use std::sync::Arc;

use arc_swap::ArcSwap;
use metrics::{counter, gauge};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use trunkline_rules::RuleSet;
use trunkline_sdk::config::Shared;
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::config::{Diagnostic, Severity};
use trunkline_sdk::metric;

use crate::measure;

/// Compiles the rule set of a configuration.
///
/// # Errors
/// Every error of every subscription.
pub fn compile(shared: &Shared) -> Result<RuleSet, Vec<Diagnostic>> {
    let destinations: Vec<DestinationName> = shared.destinations.keys().cloned().collect();
    let section = shared.root.get("subscriptions");
    let (rules, diagnostics) = RuleSet::compile(section, &destinations, shared.catalogue.clone());
    let diagnostics = diagnostics.into_sorted();
    match rules {
        Some(rules) => {
            for warning in diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Warning) {
                warn!(code = warning.code, place = %warning.place, message = warning.message, "configuration warning");
            }
            gauge!(metric::ROUTER_SUBSCRIPTIONS).set(rules.len() as f64);
            measure::unrestrained(rules.subscriptions().iter().map(trunkline_rules::Subscription::name));
            Ok(rules)
        }
        None => Err(diagnostics),
    }
}

/// Follows the configuration until `shutdown`. A rule set that compiles replaces the one before between two batches; one
/// that does not is refused, said why, and the one before stays.
pub async fn follow(
    mut configuration: watch::Receiver<Arc<Shared>>,
    rules: Arc<ArcSwap<RuleSet>>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = configuration.changed() => if changed.is_err() { return },
        }
        let shared = configuration.borrow_and_update().clone();
        // Thousands of subscriptions take a while to compile; events go on by the old rule set meanwhile.
        let compiled = tokio::task::spawn_blocking(move || compile(&shared)).await;
        match compiled {
            Ok(Ok(compiled)) => {
                let version = compiled.version().to_owned();
                let subscriptions = compiled.len();
                let before = rules.swap(Arc::new(compiled));
                counter!(metric::CONFIG_RELOADS, "service" => "router", "outcome" => "swapped").increment(1);
                info!(version, before = before.version(), subscriptions, "the rule set was replaced");
            }
            Ok(Err(diagnostics)) => {
                counter!(metric::CONFIG_RELOADS, "service" => "router", "outcome" => "refused").increment(1);
                for diagnostic in &diagnostics {
                    error!(%diagnostic, "the changed configuration is not valid; the rule set stays as it was");
                }
            }
            Err(panic) => {
                error!(error = %panic, "compiling the changed configuration failed; the rule set stays as it was")
            }
        }
    }
}
