//! Keeps what each subscription's programs may still use up, from batch to batch, and says who gets less.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use metrics::gauge;
use tracing::{error, info};
use trunkline_rules::{Allowances, RuleSet};
use trunkline_sdk::core::SubscriptionName;
use trunkline_sdk::metric;

/// The allowances of the rule set in use.
#[derive(Debug, Default)]
pub(crate) struct Restraint {
    allowances: Allowances,
    rules: Option<Arc<RuleSet>>,
    /// When the last batch was routed.
    at: Option<Instant>,
    /// Who is known to get less time.
    restrained: BTreeSet<SubscriptionName>,
}

impl Restraint {
    /// What the next batch is routed within. A rule set that replaced another starts afresh: what was stopped may have
    /// been mended.
    pub(crate) fn begin(&mut self, rules: &Arc<RuleSet>) -> &mut Allowances {
        if !self.rules.as_ref().is_some_and(|before| Arc::ptr_eq(before, rules)) {
            self.allowances = Allowances::new();
            self.rules = Some(rules.clone());
        }
        let now = Instant::now();
        self.allowances.resume(self.at.map(|at| now.duration_since(at)).unwrap_or_default());
        self.at = Some(now);
        &mut self.allowances
    }

    /// Says whose programs get less time from now on, and whose no longer.
    pub(crate) fn report(&mut self) {
        let Some(rules) = &self.rules else { return };
        if self.restrained.is_empty() && self.allowances.is_full() {
            return;
        }
        let now: BTreeSet<_> = self.allowances.restrained(rules.limits()).cloned().collect();
        for name in now.difference(&self.restrained) {
            gauge!(metric::ROUTER_RESTRAINED, "subscription" => name.to_string()).set(1.0);
            error!(subscription = %name, "a subscription's programs were stopped too often and get less time; events they can't handle in it are dead letters");
        }
        for name in self.restrained.difference(&now) {
            gauge!(metric::ROUTER_RESTRAINED, "subscription" => name.to_string()).set(0.0);
            info!(subscription = %name, "a subscription's programs get their whole time again");
        }
        self.restrained = now;
    }
}
