//! Services in one process: what they share, their start, the configuration they follow, and their end.
//!
//! `up`, `run SERVICE` and the demo differ only in the [`Plan`]. Services share the broker, the store and, for equal
//! addresses, the listener for health and metrics; each has its own view of the configuration and its own signal to stop,
//! because both reach them in an order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use trunkline_core::config::Diagnostic;
use trunkline_sdk::Adapters;
use trunkline_sdk::broker::Broker;
use trunkline_sdk::config::{Shared, Watcher};
use trunkline_sdk::service::{
    Admin, Host, HostParts, Instance, Metrics, Otlp, ServiceError, report_lag, report_reach,
};

use crate::check::{Purpose, Valid, judge};
use crate::cli::{PlaceArgs, Service};

mod difference;
mod stages;
mod watching;

use stages::{Stages, share_of};
use watching::Watching;

/// How long exporting the last spans and metrics may take.
const LAST_TELEMETRY: Duration = Duration::from_secs(2);

/// What a process is to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The configuration's file or folder.
    pub(crate) config: PathBuf,
    /// All services, or one.
    pub(crate) purpose: Purpose,
    /// What tells the process from others that run the same.
    pub(crate) place: PlaceArgs,
    /// How long services may take to settle what is under way.
    pub(crate) grace: Duration,
    /// How long servers that are not there yet are waited for.
    pub(crate) wait: Duration,
}

/// Runs a plan until `shutdown`, or until a service fails; then the others are stopped and its error is the answer.
///
/// # Errors
/// [`ServiceError`], and whatever a service ended with; [`trunkline_sdk::service::Exit::of`] says the exit code.
pub(crate) async fn run(plan: Plan, shutdown: CancellationToken) -> anyhow::Result<()> {
    // Before the configuration is read, so that no change is missed in between.
    let watcher = Watcher::new(&plan.config);
    let adapters = trunkline_adapters::registry();
    let judgement = judge(&plan.config, plan.purpose, &adapters).await;
    let valid = placed(judgement.into_valid(log_warning)?, &plan.place);
    let services = services(plan.purpose);
    let instance = Instance::take(process_name(plan.purpose), &valid.shared);
    let admin = Admin::new(Metrics::install()?);
    for service in &services {
        admin.expect(service.name(), admin_address(&valid, *service));
    }
    // Ends what accompanies the services, after them: one can look at a process while it starts and while it stops.
    let after = CancellationToken::new();
    let _after = after.clone().drop_guard();
    let bound = admin.bind().await.map(|bound| {
        info!(instance = instance.name(), admin = ?bound.addresses(), "trunkline starts");
        tokio::spawn(bound.serve(after.clone()))
    });
    let (views, seen): (Vec<_>, Vec<_>) =
        services.iter().map(|_| watch::channel(valid.shared.clone())).unzip();
    let opening = open_host(&plan, &valid, adapters.clone(), admin, instance.name());
    let host = tokio::select! {
        host = opening => host?,
        // Whoever waits for a broker can be told to stop.
        () = shutdown.cancelled() => return Ok(()),
    };
    // Only now: that another process has the data directory says more than that it has the address too.
    let serving = bound?;
    report(&plan, &host, &services, &seen, &after);
    let otlp = Otlp::start(&telemetry_name(plan.purpose), &host);
    let stages = start_all(&plan, &valid, &host, &services, seen);
    let watching = Watching {
        path: plan.config,
        purpose: plan.purpose,
        adapters,
        broker: host.broker.clone(),
        started: valid.shared,
        views: watching::in_order(&services, views),
    };
    let watching = tokio::spawn(watching.run(watcher));
    let broker = host.broker.clone();
    drop(host);
    let ended = stages.until_stopped(shutdown).await;
    watching.abort();
    tokio::join!(close(&*broker), otlp.stop(LAST_TELEMETRY.min(plan.grace)));
    after.cancel();
    serving.await.context("the admin listener")?.context("the admin listener")?;
    ended
}

/// Keeps the metrics about broker and store up to date, until `after`.
fn report(
    plan: &Plan,
    host: &Host,
    services: &[Service],
    seen: &[watch::Receiver<Arc<Shared>>],
    after: &CancellationToken,
) {
    let (name, broker, store) = (process_name(plan.purpose), host.broker.clone(), host.store.clone());
    let after = after.clone();
    let watched = after.clone();
    tokio::spawn(async move { report_reach(name, broker, store, watched).await });
    if services.contains(&Service::Console) {
        tokio::spawn(report_lag(host.broker.clone(), seen_by(services, seen, Service::Console), after));
    }
}

/// Starts the services, each with its own view of the configuration.
fn start_all(
    plan: &Plan,
    valid: &Valid,
    host: &Host,
    services: &[Service],
    seen: Vec<watch::Receiver<Arc<Shared>>>,
) -> Stages {
    let mut stages = Stages::new(plan.grace);
    for (service, configuration) in services.iter().zip(seen) {
        let shutdown = stages.token(*service);
        let grace = share_of(plan.grace, *service, services);
        let host = Host { configuration, shutdown, grace, ..host.clone() };
        stages.spawn(*service, start(*service, host, valid, plan));
    }
    stages
}

/// Lets others take over at once. A broker that is away must not keep the process from ending.
async fn close(broker: &dyn Broker) {
    const AT_MOST: Duration = Duration::from_secs(5);
    if tokio::time::timeout(AT_MOST, broker.close()).await.is_err() {
        warn!("the broker did not answer the goodbye; others take over when it has noticed");
    }
}

/// Opens the broker and the store. What differs from service to service is put in place of what this one has.
async fn open_host(
    plan: &Plan,
    valid: &Valid,
    adapters: Adapters,
    admin: Admin,
    instance: &str,
) -> Result<Host, ServiceError> {
    let parts = HostParts {
        configuration: watch::Sender::new(valid.shared.clone()).subscribe(),
        adapters,
        admin,
        instance: instance.to_owned(),
        service: process_name(plan.purpose).to_owned(),
        shutdown: CancellationToken::new(),
        grace: plan.grace,
        wait: plan.wait,
    };
    Host::open(parts).await
}

/// A runtime for services. Few threads: each takes memory of its own, and no service computes for long.
pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    const MOST_WORKERS: usize = 8;
    let workers =
        std::thread::available_parallelism().map_or(2, |parallel| parallel.get().clamp(2, MOST_WORKERS));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.context("the runtime does not start")
}

fn services(purpose: Purpose) -> Vec<Service> {
    match purpose {
        Purpose::Run(service) => vec![service],
        Purpose::Up | Purpose::Look => Service::ALL.to_vec(),
    }
}

/// What a process of this purpose is told apart by from others on its host.
fn process_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Run(service) => service.name(),
        Purpose::Up | Purpose::Look => "up",
    }
}

/// What OpenTelemetry knows the process by, unless its environment says another name.
fn telemetry_name(purpose: Purpose) -> String {
    match purpose {
        Purpose::Run(service) => format!("trunkline-{}", service.name()),
        Purpose::Up | Purpose::Look => "trunkline".to_owned(),
    }
}

/// The configuration with the addresses of the command line.
fn placed(valid: Valid, place: &PlaceArgs) -> Valid {
    let Valid { shared, mut gateway, mut router, mut dispatcher, mut console } = valid;
    if let Some(listen) = place.listen {
        (gateway.listen, console.listen) = (listen, listen);
    }
    if let Some(admin) = place.admin {
        (gateway.admin, router.admin, dispatcher.admin, console.admin) = (admin, admin, admin, admin);
    }
    Valid { shared, gateway, router, dispatcher, console }
}

fn admin_address(valid: &Valid, service: Service) -> std::net::SocketAddr {
    match service {
        Service::Gateway => valid.gateway.admin,
        Service::Router => valid.router.admin,
        Service::Dispatcher => valid.dispatcher.admin,
        Service::Console => valid.console.admin,
    }
}

fn seen_by(
    services: &[Service],
    seen: &[watch::Receiver<Arc<Shared>>],
    service: Service,
) -> watch::Receiver<Arc<Shared>> {
    let at = services.iter().position(|other| *other == service).unwrap_or_default();
    seen[at].clone()
}

fn start(
    service: Service,
    host: Host,
    valid: &Valid,
    plan: &Plan,
) -> futures::future::BoxFuture<'static, anyhow::Result<()>> {
    match service {
        Service::Gateway => Box::pin(trunkline_gateway::run(host, valid.gateway.clone())),
        Service::Router => Box::pin(trunkline_router::run(host, valid.router.clone())),
        Service::Dispatcher => Box::pin(trunkline_dispatcher::run(host, plan.place.only.clone())),
        Service::Console => Box::pin(trunkline_console::run(host, valid.console.clone())),
    }
}

fn log_warning(warning: &Diagnostic) {
    warn!(code = warning.code, place = %warning.place, hint = warning.hint, "{}: {}", warning.path, warning.message);
}

fn log_errors(diagnostics: &[Diagnostic]) {
    for found in diagnostics {
        error!(code = found.code, place = %found.place, hint = found.hint, "{}: {}", found.path, found.message);
    }
}
