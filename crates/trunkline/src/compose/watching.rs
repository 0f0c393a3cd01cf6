//! The configuration of a running process: a changed file is judged as at a start, and followed only when it holds.

use std::path::PathBuf;
use std::sync::Arc;

use metrics::{counter, gauge};
use tokio::sync::watch;
use tracing::{error, info, warn};
use trunkline_sdk::broker::Broker;
use trunkline_sdk::config::{Shared, Watcher};
use trunkline_sdk::service::ensure_channels;
use trunkline_sdk::{Adapters, metric};

use super::{difference, log_errors, log_warning};
use crate::check::{Purpose, judge};
use crate::cli::Service;

/// Follows the files of a configuration.
pub(super) struct Watching {
    pub(super) path: PathBuf,
    pub(super) purpose: Purpose,
    pub(super) adapters: Adapters,
    pub(super) broker: Arc<dyn Broker>,
    /// The configuration the process was started with.
    pub(super) started: Arc<Shared>,
    /// Where a changed one goes, in this order.
    pub(super) views: Vec<watch::Sender<Arc<Shared>>>,
}

/// The views of `services`, those first that must know first: who delivers, before who makes deliveries, before who takes
/// events in.
pub(super) fn in_order<T>(services: &[Service], views: Vec<T>) -> Vec<T> {
    const ORDER: [Service; 4] = [Service::Dispatcher, Service::Router, Service::Console, Service::Gateway];
    let mut placed: Vec<(usize, T)> = services
        .iter()
        .zip(views)
        .map(|(service, view)| (ORDER.iter().position(|other| other == service).unwrap_or(ORDER.len()), view))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, view)| view).collect()
}

impl Watching {
    /// Never returns.
    pub(super) async fn run(self, mut watcher: Watcher) {
        let mut current = self.started.clone();
        tell(None);
        loop {
            watcher.changed().await;
            let changed = self.reload(&current).await;
            tell(Some(changed.is_some()));
            if let Some(changed) = changed {
                current = changed;
            }
        }
    }

    /// Judges the files and tells the services; `None` when everything stays as it was.
    async fn reload(&self, current: &Shared) -> Option<Arc<Shared>> {
        let judgement = judge(&self.path, self.purpose, &self.adapters).await;
        let Some(valid) = judgement.valid else {
            log_errors(&judgement.diagnostics);
            error!("the changed configuration is not valid; everything stays as it was");
            return None;
        };
        judgement.diagnostics.iter().for_each(log_warning);
        for section in difference::needs_restart(&self.started.root, &valid.shared.root) {
            warn!(section, "restart needed: this section is read at a start only");
        }
        for removed in
            current.destinations.keys().filter(|name| !valid.shared.destinations.contains_key(*name))
        {
            warn!(destination = %removed, "the destination is gone from the configuration; its channels stay, with what waits in them");
        }
        // What is read at a start only stays as it was for everything that asks the configuration for it.
        let changed = Arc::new(Shared {
            broker: self.started.broker.clone(),
            store: self.started.store.clone(),
            channels: self.started.channels.clone(),
            ..Shared::clone(&valid.shared)
        });
        if let Err(error) = ensure_channels(&*self.broker, &changed).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            error!(
                error,
                "the changed configuration needs channels that can't be had; everything stays as it was"
            );
            return None;
        }
        for view in &self.views {
            view.send_replace(changed.clone());
        }
        info!(
            sources = changed.sources.len(),
            destinations = changed.destinations.len(),
            "the changed configuration holds; the services follow it"
        );
        Some(changed)
    }
}

/// Counts what became of a change, if there was one, and says whether the files are refused.
fn tell(swapped: Option<bool>) {
    for (outcome, counted) in [("swapped", swapped == Some(true)), ("refused", swapped == Some(false))] {
        counter!(metric::CONFIG_RELOADS, "service" => "process", "outcome" => outcome)
            .increment(u64::from(counted));
    }
    gauge!(metric::CONFIG_REFUSED).set(f64::from(u8::from(swapped == Some(false))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_delivers_knows_first_and_who_takes_in_last() {
        let all = in_order(&Service::ALL, vec!["gateway", "router", "dispatcher", "console"]);
        assert_eq!(all, ["dispatcher", "router", "console", "gateway"]);
        assert_eq!(in_order(&[Service::Router], vec!["router"]), ["router"]);
    }
}
