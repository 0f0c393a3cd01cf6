//! Rule sets to measure with.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use trunkline_core::config::parse;
use trunkline_core::{DestinationName, TypeCatalogue};
use trunkline_rules::RuleSet;

/// Compiles a `subscriptions` section whose subscriptions all go to `crm`.
///
/// # Errors
/// What is wrong with it.
pub fn compile(section: &str) -> anyhow::Result<RuleSet> {
    let section = match parse("bench.yaml", section) {
        Ok(section) => section,
        Err(diagnostic) => bail!("{diagnostic}"),
    };
    let catalogue = Arc::new(TypeCatalogue::canonical());
    let (rules, diagnostics) = RuleSet::compile(Some(&section), &[DestinationName::parse("crm")?], catalogue);
    let said: Vec<String> = diagnostics.into_sorted().iter().map(ToString::to_string).collect();
    rules.with_context(|| said.join("\n"))
}

/// Subscriptions `s-0` to `s-{count - 1}`, each with the pattern that `pattern` gives for its number.
pub fn section(count: usize, pattern: impl Fn(usize) -> String) -> String {
    let subscription = |number| format!("s-{number}: {{ match: {}, to: crm }}\n", pattern(number));
    (0..count).map(subscription).collect()
}

/// The pattern of one type of its own.
pub fn one_type(number: usize) -> String {
    format!("{{ type: [bench.kind-{number}] }}")
}
