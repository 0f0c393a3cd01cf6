//! The console as a service: its parts, its start and stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use trunkline_rules::RuleSet;
use trunkline_sdk::broker::ConsumeError;
use trunkline_sdk::config::{KeyEntry, KeyRing, Shared, check_listen};
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::config::Diagnostics;
use trunkline_sdk::registry::MadeSource;
use trunkline_sdk::service::{Host, ServiceError, keep_pruned};
use trunkline_sdk::store::Store;

use crate::api::{self, Console};
use crate::keeper;
use crate::replay::Worker;
use crate::replay::render::Sources;
use crate::settings::ConsoleSettings;

/// Runs the console until the host shuts down.
///
/// # Errors
/// [`ServiceError`]: an address that can't be had, a configuration that does not hold, channels that can't be consumed.
pub async fn run(host: Host, settings: ConsoleSettings) -> anyhow::Result<()> {
    let keys = key_ring(&host, &settings.keys)?;
    check_listen("console", settings.listen, &settings.keys)?;
    let rules = Arc::new(ArcSwap::from_pointee(compile(&host.shared).map_err(ServiceError::Configuration)?));
    let sources = Arc::new(ArcSwap::from_pointee(make_sources(&host, &host.shared).await?));
    let bell = Arc::new(Notify::new());
    let max_record = host.broker.capabilities().max_record.min(host.shared.channels.max_record);
    let console = Console {
        broker: host.broker.clone(),
        store: host.store.clone(),
        configuration: host.configuration.clone(),
        rules: rules.clone(),
        sources: sources.clone(),
        adapters: host.adapters.clone(),
        keys: Arc::new(ArcSwap::from_pointee(keys)),
        bell: bell.clone(),
        settings: Arc::new(settings.clone()),
        instance: host.instance.clone(),
        max_record,
    };
    let worker = Worker {
        broker: host.broker.clone(),
        store: host.store.clone(),
        rules,
        sources,
        instance: host.instance.clone(),
        max_record,
        bell,
    };
    let listener = tokio::net::TcpListener::bind(settings.listen).await.map_err(|cause| {
        ServiceError::unavailable(
            format!("the console's address {} (console.listen)", settings.listen),
            cause,
        )
    })?;
    info!(listen = %listener.local_addr()?, "the console serves operators");
    // Ends the other parts when one fails, so that the process never goes on with half a console.
    let stop = host.shutdown.child_token();
    let keeping = guarded(
        &stop,
        keeper::run(host.broker.clone(), host.store.clone(), host.configuration.clone(), stop.clone()),
    );
    let working = guarded(&stop, worker.run(stop.clone()));
    let serving = guarded(&stop, serve(listener, api::routes(console.clone()), stop.clone(), host.grace));
    let following = guarded(&stop, follow(host.clone(), console, stop.clone()));
    let pruning = prune(&host.store, &settings, &stop);
    host.ready("console");
    let (kept, (), served, (), ()) = tokio::join!(keeping, working, serving, following, pruning);
    served.context("the console's listener failed")?;
    match kept {
        Ok(()) => Ok(()),
        Err(ConsumeError::Fenced) => Err(ServiceError::Fenced.into()),
        Err(error) => Err(error).context("dead letters and journeys can't be taken in"),
    }
}

async fn guarded<T>(stop: &CancellationToken, part: impl Future<Output = T>) -> T {
    let _stop = stop.clone().drop_guard();
    part.await
}

async fn serve(
    listener: tokio::net::TcpListener,
    routes: axum::Router,
    stop: CancellationToken,
    grace: Duration,
) -> std::io::Result<()> {
    let serving = axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    // Answers under way may end; a tail never does by itself.
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(grace.min(Duration::from_secs(2))).await;
    };
    tokio::select! {
        served = serving => served,
        () = overdue => Ok(()),
    }
}

fn key_ring(host: &Host, keys: &[KeyEntry]) -> anyhow::Result<KeyRing> {
    KeyRing::new(keys, &host.secrets).context("console.keys")
}

/// Today's rule set, for replays.
fn compile(shared: &Shared) -> Result<RuleSet, Diagnostics> {
    let destinations: Vec<DestinationName> = shared.destinations.keys().cloned().collect();
    let (rules, diagnostics) =
        RuleSet::compile(shared.section_node("subscriptions"), &destinations, shared.catalogue.clone());
    rules.ok_or(diagnostics)
}

async fn make_sources(host: &Host, shared: &Shared) -> anyhow::Result<Sources> {
    let mut sources = Sources::new();
    for (name, entry) in &shared.sources {
        let context = shared.context(name.as_str(), &host.instance);
        if let MadeSource::Webhook(source) = host.adapters.make_source(entry, &context).await? {
            sources.insert(name.to_string(), source);
        }
    }
    Ok(sources)
}

/// Takes rule set, sources and keys of a changed configuration; one that does not hold changes nothing.
async fn follow(host: Host, console: Console, stop: CancellationToken) {
    let mut configuration: watch::Receiver<Arc<Shared>> = host.configuration.clone();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = configuration.changed() => if changed.is_err() { return stop.cancelled().await },
        }
        let shared = configuration.borrow_and_update().clone();
        match reload(&host, &console, shared).await {
            Ok(()) => info!("the console works by the changed configuration"),
            Err(error) => {
                error!(error = format!("{error:#}"), "the console works by the configuration before")
            }
        }
    }
}

async fn reload(host: &Host, console: &Console, shared: Arc<Shared>) -> anyhow::Result<()> {
    let mut diagnostics = Diagnostics::new();
    let keys = shared.keys("console", &mut diagnostics).ok_or(ServiceError::Configuration(diagnostics))?;
    check_listen("console", console.settings.listen, &keys)?;
    let ring = key_ring(host, &keys)?;
    let made = make_sources(host, &shared).await?;
    let rules =
        tokio::task::spawn_blocking(move || compile(&shared)).await?.map_err(ServiceError::Configuration)?;
    console.keys.store(Arc::new(ring));
    console.rules.store(Arc::new(rules));
    console.sources.store(Arc::new(made));
    Ok(())
}

/// Forgets journeys and settled dead letters that are older than they are kept.
async fn prune(store: &Store, settings: &ConsoleSettings, stop: &CancellationToken) {
    let journeys = keep_pruned("journeys", settings.journey_keep.0, stop.clone(), |before, at_once| {
        store.prune_journeys(before, at_once)
    });
    let settled = keep_pruned("dead letters", settings.keep_settled.0, stop.clone(), |before, at_once| {
        store.prune_settled(before, at_once)
    });
    tokio::join!(journeys, settled);
}
