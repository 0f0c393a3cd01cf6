//! One judgement of a configuration, for `check` and for every start: all that is wrong with it, at once.

use std::path::Path;
use std::sync::Arc;

use trunkline_console::ConsoleSettings;
use trunkline_core::DestinationName;
use trunkline_core::config::{Diagnostic, Diagnostics, Severity};
use trunkline_dispatcher::DispatcherSettings;
use trunkline_gateway::GatewaySettings;
use trunkline_router::RouterSettings;
use trunkline_rules::RuleSet;
use trunkline_sdk::Adapters;
use trunkline_sdk::config::{Loaded, Shared, check_listen, load};
use trunkline_sdk::service::{ServiceError, instance_name};

use crate::cli::Service;

mod engines;
mod unset;

/// What a configuration is judged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To say what is wrong with it; a secret that is not set here may be set where it runs.
    Look,
    /// To run all services in this process.
    Up,
    /// To run one service in this process.
    Run(Service),
}

/// A configuration that holds.
#[derive(Debug, Clone)]
pub(crate) struct Valid {
    pub(crate) shared: Arc<Shared>,
    pub(crate) gateway: GatewaySettings,
    pub(crate) router: RouterSettings,
    pub(crate) dispatcher: DispatcherSettings,
    pub(crate) console: ConsoleSettings,
}

/// What was found, by place; `valid` when none of it is an error.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) valid: Option<Valid>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Judgement {
    /// The configuration, its warnings given to `warn`.
    ///
    /// # Errors
    /// [`ServiceError::Configuration`] with all that was found.
    pub(crate) fn into_valid(self, mut warn: impl FnMut(&Diagnostic)) -> Result<Valid, ServiceError> {
        match self.valid {
            Some(valid) => {
                self.diagnostics.iter().for_each(&mut warn);
                Ok(valid)
            }
            None => {
                let mut diagnostics = Diagnostics::new();
                diagnostics.extend(self.diagnostics);
                Err(ServiceError::Configuration(diagnostics))
            }
        }
    }
}

/// Loads and judges the configuration at `path`. Contacts nothing, writes nothing.
pub(crate) async fn judge(path: &Path, purpose: Purpose, adapters: &Adapters) -> Judgement {
    let mut diagnostics = Diagnostics::new();
    let valid = match load(path) {
        Ok(loaded) => judge_loaded(loaded, purpose, adapters, &mut diagnostics).await,
        Err(found) => {
            diagnostics.extend(found.into_sorted());
            None
        }
    };
    let valid = valid.filter(|_| !diagnostics.has_errors());
    Judgement { valid, diagnostics: unset::without_doubles(diagnostics.into_sorted()) }
}

/// Every part is judged whatever was wrong with those before it.
async fn judge_loaded(
    loaded: Loaded,
    purpose: Purpose,
    adapters: &Adapters,
    diagnostics: &mut Diagnostics,
) -> Option<Valid> {
    let shared = Arc::new(Shared::read_partly(loaded.root, &loaded.folder, diagnostics));
    let gateway = shared.section::<GatewaySettings>("gateway", diagnostics);
    let router = shared.section::<RouterSettings>("router", diagnostics);
    let dispatcher = shared.section::<DispatcherSettings>("dispatcher", diagnostics);
    let console = shared.section::<ConsoleSettings>("console", diagnostics);
    engines::judge(&shared, router.as_ref(), purpose, diagnostics);
    if let Some(gateway) = &gateway {
        judge_listen(&shared, "gateway", check_listen("gateway", gateway.listen, &gateway.keys), diagnostics);
        judge_sizes(&shared, gateway, diagnostics);
    }
    if let Some(console) = &console {
        judge_listen(&shared, "console", check_listen("console", console.listen, &console.keys), diagnostics);
    }
    adapters.check(&shared, &instance_name(), Severity::Warning, diagnostics).await;
    unset::judge(&shared, purpose, diagnostics);
    diagnostics.extend(judge_rules(shared.clone()).await);
    Some(Valid { shared, gateway: gateway?, router: router?, dispatcher: dispatcher?, console: console? })
}

fn judge_listen(
    shared: &Shared,
    section: &str,
    checked: Result<(), trunkline_sdk::config::ListenError>,
    diagnostics: &mut Diagnostics,
) {
    if let (Err(error), Some(node)) = (checked, shared.section_node(section)) {
        diagnostics.push(error.diagnostic(node));
    }
}

/// A record must hold a body twice (event and transformed body) and what surrounds it.
fn judge_sizes(shared: &Shared, gateway: &GatewaySettings, diagnostics: &mut Diagnostics) {
    let needed = gateway.max_body.0.saturating_mul(2).saturating_add(64 << 10);
    let max_record = shared.channels.max_record as u64;
    if needed <= max_record {
        return;
    }
    let node = shared.section_node("gateway").and_then(|node| node.get("max_body"));
    let node = node.or_else(|| shared.section_node("channels")).unwrap_or(&shared.root);
    let body = gateway.max_body;
    diagnostics.push(node.error(
        trunkline_core::config::codes::WRONG_VALUE,
        format!("bodies of {body} need records of {needed} bytes, but `channels.max_record` is {max_record}"),
        Some("lower `gateway.max_body` or raise `channels.max_record`".to_owned()),
    ));
}

/// Compiling thousands of subscriptions takes a while, so it never happens on a thread that serves others.
async fn judge_rules(shared: Arc<Shared>) -> Vec<Diagnostic> {
    let compile = move || {
        let destinations: Vec<DestinationName> = shared.destinations.keys().cloned().collect();
        let (_rules, diagnostics) =
            RuleSet::compile(shared.section_node("subscriptions"), &destinations, shared.catalogue.clone());
        diagnostics.into_sorted()
    };
    match tokio::task::spawn_blocking(compile).await {
        Ok(found) => found,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}
