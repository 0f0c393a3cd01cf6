//! A process that delivers to the destinations of one adapter: the whole `main` of an adapter's own service.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_core::config::Diagnostics;

use super::admin::Admin;
use super::channels::ensure_channels;
use super::exit::{Exit, ServiceError};
use super::host::{Host, HostParts};
use super::instance::Instance;
use super::metrics::Metrics;
use super::otlp::Otlp;
use super::reach::report_reach;
use super::roster::Roster;
use super::shutdown::{DEFAULT_GRACE, on_signals};
use super::telemetry::init_logs;
use crate::config::{Shared, Watcher, load};
use crate::delivery::{Clock, Hosted, Runtime, RuntimeError, RuntimeHandle, RuntimeParts};
use crate::destination::Destination;
use crate::registry::Adapters;

mod options;

use options::Options;

/// How long saying goodbye to the broker may take.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long exporting the last spans and metrics may take.
const LAST_TELEMETRY: Duration = Duration::from_secs(2);

/// Runs a process that delivers to the destinations of adapter `D`, until it is told to stop. For a `main` in one line:
///
/// ```no_run
/// # use trunkline_sdk::{Context, Delivered, Delivery, DeliveryError, Destination, SetupError};
/// # struct Crm;
/// # impl Destination for Crm {
/// #     const NAME: &'static str = "crm";
/// #     type Settings = std::collections::BTreeMap<String, String>;
/// #     async fn connect(_: Self::Settings, _: &Context) -> Result<Self, SetupError> { Ok(Self) }
/// #     async fn deliver(&self, _: &Delivery) -> Result<Delivered, DeliveryError> { Ok(Delivered::default()) }
/// # }
/// fn main() -> std::process::ExitCode {
///     trunkline_sdk::service::deliver_main::<Crm>()
/// }
/// ```
///
/// It reads the configuration named by `-c FILE` or `TRUNKLINE_CONFIG` (default `trunkline.yaml`) and hosts every
/// destination with `adapter: NAME` of `D`, and the one without an adapter (`external: true`) that `--destination NAME`
/// or `TRUNKLINE_DESTINATION` names; with such a name it hosts that one only. A changed configuration is taken over while
/// it runs. `--wait DURATION` is how long a broker that is not there yet is waited for at the start (60 s). `--admin ADDRESS` is where health and metrics are served, else `dispatcher.admin`. The exit codes are
/// those of [`Exit`].
pub fn deliver_main<D: Destination>() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(deliver::<D>()),
        Err(error) => ended(&ServiceError::unavailable("a runtime", error)),
    }
}

/// As [`deliver_main`], in a runtime of one's own.
pub async fn deliver<D: Destination>() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1), |name| std::env::var(name).ok()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage.into();
        }
    };
    if let Err(error) = init_logs(None, None) {
        eprintln!("error: {error}");
        return Exit::Usage.into();
    }
    let shutdown = match on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => return ended(&ServiceError::unavailable("signals", error)),
    };
    // Watched before it is read, so that a change in between is noticed.
    let watcher = Watcher::new(&options.configuration);
    match run::<D>(&options, watcher, shutdown).await {
        Ok(()) => Exit::Done.into(),
        Err(error) => ended(&error),
    }
}

fn ended(error: &ServiceError) -> ExitCode {
    let causes = std::iter::successors(std::error::Error::source(error), |&cause| cause.source());
    let causes: String = causes.map(|cause| format!(": {cause}")).collect();
    eprintln!("error: {error}{causes}");
    Exit::of(error).into()
}

async fn run<D: Destination>(
    options: &Options,
    watcher: Watcher,
    shutdown: CancellationToken,
) -> Result<(), ServiceError> {
    let shared = Arc::new(read(options)?);
    let instance = Instance::take(D::NAME, &shared);
    let mut roster = Roster::new(Adapters::new().destination::<D>(), instance.name());
    let hosted = roster.update(&shared, |name, entry| options.choose(D::NAME, name, entry)).await?;
    if hosted.is_empty() {
        return Err(nothing_to_host::<D>(&shared));
    }
    let metrics = Metrics::install().map_err(|error| ServiceError::unavailable("the metrics", error))?;
    let admin = Admin::new(metrics);
    admin.expect(D::NAME, options.admin(&shared)?);
    let bound = admin.bind().await?;
    let (_sender, configuration) = watch::channel(shared);
    let serving = CancellationToken::new();
    let serving_admin = tokio::spawn(bound.serve(serving.clone()));
    let opening = Host::open(HostParts {
        configuration,
        adapters: Adapters::new(),
        admin,
        instance: instance.name().to_owned(),
        service: D::NAME.to_owned(),
        shutdown: shutdown.clone(),
        grace: DEFAULT_GRACE,
        wait: options.wait,
    });
    let host = tokio::select! {
        host = opening => host?,
        () = shutdown.cancelled() => return Ok(()),
    };
    let (broker, store, watched) = (host.broker.clone(), host.store.clone(), serving.clone());
    tokio::spawn(async move { report_reach(D::NAME, broker, store, watched).await });
    let otlp = Otlp::start(&format!("trunkline-{}", D::NAME), &host);
    let outcome = serve::<D>(&host, hosted, Follow { watcher, roster, options }).await;
    // So that others take over at once; a broker that is away must not keep the process from ending.
    let closing = tokio::time::timeout(LAST_WORDS, host.broker.close());
    drop(tokio::join!(closing, otlp.stop(LAST_TELEMETRY)));
    serving.cancel();
    // Its listeners are closed with the process in any case.
    drop(serving_admin.await);
    outcome
}

/// What it takes to follow the configuration.
struct Follow<'a> {
    watcher: Watcher,
    roster: Roster,
    options: &'a Options,
}

async fn serve<D: Destination>(
    host: &Host,
    hosted: Vec<Hosted>,
    mut follow: Follow<'_>,
) -> Result<(), ServiceError> {
    let (runtime, handle) = Runtime::new(RuntimeParts {
        broker: host.broker.clone(),
        states: Arc::new(host.store.clone()),
        instance: host.instance.clone(),
        journey: host.shared.channels.journey,
        max_record: host.shared.channels.max_record,
        destinations: hosted,
        clock: Clock::system(),
    });
    let running = runtime.run(host.shutdown.clone(), host.grace);
    let end = tokio::select! {
        end = running => end,
        never = follow_configuration::<D>(host, &handle, &mut follow) => match never {},
    };
    match end {
        Ok(end) if end.settled_all => Ok(()),
        Ok(_cut_off) => {
            Err(ServiceError::Unsettled("attempts were cut off and will be made again".to_owned()))
        }
        Err(RuntimeError::Fenced) => Err(ServiceError::Fenced),
        Err(error) => Err(ServiceError::unavailable("the delivery runtime", error)),
    }
}

/// Says when deliveries are taken in, then takes changed configurations over, as long as it is polled. A bad one changes
/// nothing.
async fn follow_configuration<D: Destination>(
    host: &Host,
    handle: &RuntimeHandle,
    follow: &mut Follow<'_>,
) -> Infallible {
    if handle.begun().await {
        host.ready(D::NAME);
    }
    loop {
        follow.watcher.changed().await;
        match take_over::<D>(host, handle, follow).await {
            Ok(destinations) => tracing::info!(destinations, "the configuration was taken over"),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "the changed configuration is refused; everything stays as it was"
            ),
        }
    }
}

async fn take_over<D: Destination>(
    host: &Host,
    handle: &RuntimeHandle,
    follow: &mut Follow<'_>,
) -> Result<usize, ServiceError> {
    let shared = read(follow.options)?;
    let options = follow.options;
    let hosted = follow.roster.update(&shared, |name, entry| options.choose(D::NAME, name, entry)).await?;
    let destinations = hosted.len();
    ensure_channels(&*host.broker, &shared).await?;
    let replaced = handle.replace(hosted).await;
    replaced.map_err(|error| ServiceError::unavailable("the delivery runtime", error))?;
    Ok(destinations)
}

fn read(options: &Options) -> Result<Shared, ServiceError> {
    let loaded = load(&options.configuration).map_err(ServiceError::Configuration)?;
    let mut diagnostics = Diagnostics::new();
    let shared = Shared::read(loaded.root, &loaded.folder, &mut diagnostics);
    for diagnostic in diagnostics.clone().into_sorted() {
        tracing::warn!(%diagnostic, "configuration");
    }
    shared.ok_or(ServiceError::Configuration(diagnostics))
}

fn nothing_to_host<D: Destination>(shared: &Shared) -> ServiceError {
    let node = shared.section_node("destinations").unwrap_or(&shared.root);
    let message = format!("no destination has `adapter: {}`", D::NAME);
    let hint = "name an `external: true` destination with --destination or TRUNKLINE_DESTINATION".to_owned();
    let mut diagnostics = Diagnostics::new();
    diagnostics.push(node.error(crate::config::code::UNKNOWN_ADAPTER, message, Some(hint)));
    ServiceError::Configuration(diagnostics)
}

#[cfg(test)]
mod tests;
