//! Hosts sources that fetch: runs each, starts it again after an error, and publishes what it emits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use tokio::task::JoinSet;
use tracing::{error, info};
use trunkline_sdk::config::SourceEntry;
use trunkline_sdk::registry::{AnySource, MadeSource};
use trunkline_sdk::service::{Host, Pauses};
use trunkline_sdk::source::EmitHost;
use trunkline_sdk::store::Store;
use trunkline_sdk::{EmitError, Emitter, Event};

use crate::intake::{Intake, Refused};
use crate::measure::{self, Entry};
use crate::traced;

/// A source that fetches: its configured name, its entry, and the source as first made.
pub(crate) type Polling = (String, SourceEntry, Box<dyn AnySource>);

/// Runs every source until the host shuts down, or until the set is dropped.
pub(crate) fn start(sources: Vec<Polling>, intake: &Intake, host: &Host) -> JoinSet<()> {
    let mut running = JoinSet::new();
    for (name, entry, source) in sources {
        let emit = EmitTo { name: name.clone(), intake: intake.clone(), store: host.store.clone() };
        running.spawn(keep_running(host.clone(), name, entry, source, Emitter::new(Arc::new(emit))));
    }
    running
}

async fn keep_running(
    host: Host,
    name: String,
    entry: SourceEntry,
    source: Box<dyn AnySource>,
    emitter: Emitter,
) {
    let mut pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(60));
    let mut source = Some(source);
    while !host.shutdown.is_cancelled() {
        if let Some(source) = source.take() {
            info!(source = name, "a source fetches");
            match source.run(emitter.clone(), host.shutdown.clone()).await {
                Ok(()) => return info!(source = name, "a source ended"),
                Err(error) => error!(source = name, error, "a source failed; it begins again"),
            }
        }
        tokio::time::sleep(pauses.longer()).await;
        let context = host.shared.context(&name, &host.instance);
        match host.adapters.make_source(&entry, &context).await {
            Ok(MadeSource::Polling(again)) => source = Some(again),
            Ok(MadeSource::Webhook(_)) => return,
            Err(error) => error!(source = name, %error, "a source can't begin again yet"),
        }
    }
}

struct EmitTo {
    name: String,
    intake: Intake,
    store: Store,
}

#[async_trait]
impl EmitHost for EmitTo {
    async fn emit(&self, events: Vec<Event>, cursor: Option<String>) -> Result<(), EmitError> {
        if !events.is_empty() {
            let counter = measure::accepted(Entry::Polling, &self.name);
            let submitted = traced::submit(&self.intake, None, events, counter).await;
            submitted.map_err(|refused| match refused {
                Refused::TooLarge { .. } => EmitError::Refused { index: 0, problem: refused.to_string() },
                refused => EmitError::Unavailable(Box::new(refused)),
            })?;
        }
        match cursor {
            None => Ok(()),
            Some(cursor) => {
                let set = self.store.set_cursor(&self.name, &cursor, Utc::now()).await;
                set.map_err(|error| EmitError::Unavailable(Box::new(error)))
            }
        }
    }

    async fn cursor(&self) -> Result<Option<String>, EmitError> {
        self.store.cursor(&self.name).await.map_err(|error| EmitError::Unavailable(Box::new(error)))
    }
}
