//! Several instances on a store that one process has to itself.

use std::collections::BTreeSet;

use trunkline_core::config::{Diagnostics, Severity};
use trunkline_sdk::config::{Shared, code, secret_reference};

use super::Part;
use super::spot::Spot;

/// Where the broker tells who shares its work, more than one of a kind needs a store that they can share.
pub(super) fn judge(shared: &Shared, parts: &[Part], findings: &mut Diagnostics) {
    if secret_reference(&shared.store).is_some() || !shared.store.starts_with("sqlite:") {
        return;
    }
    let lists = parts.iter().flat_map(|part| &part.found.sharing);
    let names: Vec<BTreeSet<&String>> = lists.map(|list| list.iter().collect()).collect();
    let Some(several) = names.iter().max_by_key(|names| names.len()).filter(|names| names.len() > 1) else {
        return;
    };
    let named = several.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let problem = format!(
        "{named} share the work, but a SQLite store is one process's own: each has its own seen ids, pauses, dead letters \
         and journeys"
    );
    let remedy = "name a store that all share, `postgres://HOST/NAME`, or run one instance";
    let at = Spot::at(shared, "store", "");
    findings.push(at.diagnostic(Severity::Error, code::STORE_NOT_SHARED, problem, remedy.to_owned()));
}
