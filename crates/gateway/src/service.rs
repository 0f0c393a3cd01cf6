//! The gateway as a service: its parts, its routes, its start and stop.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST};
use axum::routing::post;
use bytes::Bytes;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http_body_util::{BodyExt, Limited};
use tracing::info;
use trunkline_sdk::AnyWebhookSource;
use trunkline_sdk::broker::Broker;
use trunkline_sdk::config::{AuthError, Caller, KeyEntry, KeyRing, Scope, Shared, check_listen};
use trunkline_sdk::core::config::Diagnostics;
use trunkline_sdk::registry::MadeSource;
use trunkline_sdk::service::{Host, ServiceError, is_meant_for_this_machine, keep_pruned};

use crate::intake::{Intake, IntakeParts};
use crate::polling::{self, Polling};
use crate::problem::Problem;
use crate::settings::GatewaySettings;
use crate::{api, hooks, measure, server};

type Sources = BTreeMap<String, Arc<dyn AnyWebhookSource>>;
type KeyRate = (DefaultKeyedRateLimiter<String>, DefaultClock);

/// What every request of the gateway works with.
pub(crate) struct Gateway {
    pub(crate) intake: Intake,
    pub(crate) broker: Arc<dyn Broker>,
    sources: ArcSwap<Sources>,
    keys: ArcSwap<KeyRing>,
    rate: Option<KeyRate>,
    settings: GatewaySettings,
}

impl Gateway {
    /// Who is calling, if they may.
    pub(crate) fn authorize(&self, request: &Request, scope: Scope) -> Result<Caller, Problem> {
        let keys = self.keys.load();
        let headers = request.headers();
        if keys.is_empty() && !is_meant_for_this_machine(headers, request.uri()) {
            return Err(Problem::foreign_host());
        }
        let header = match headers.get(AUTHORIZATION) {
            None => None,
            Some(value) => Some(value.to_str().map_err(|_| {
                Problem::unauthenticated(
                    "The Authorization header is not text. Send `Authorization: Bearer KEY`.",
                )
            })?),
        };
        let caller = keys.authenticate(header).map_err(|error| match error {
            AuthError::Missing => {
                Problem::unauthenticated("Send `Authorization: Bearer KEY` with a key of gateway.keys.")
            }
            AuthError::Unknown => Problem::unauthenticated("The key is none of gateway.keys."),
        })?;
        if caller.may(scope) { Ok(caller) } else { Err(Problem::forbidden(&caller.name, scope.as_str())) }
    }

    /// Keeps each caller within `gateway.rate_limit`.
    pub(crate) fn throttle(&self, caller: &Caller) -> Result<(), Problem> {
        let Some((limiter, clock)) = &self.rate else { return Ok(()) };
        limiter
            .check_key(&caller.name.to_string())
            .map_err(|not_until| Problem::too_many(not_until.wait_time_from(clock.now())))
    }

    /// Reads a body: refused before a byte of it is buffered where its length says so, else as soon as it is too long.
    pub(crate) async fn read_body(&self, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
        let limit = usize::try_from(self.settings.max_body.0).unwrap_or(usize::MAX);
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(Problem::too_large("The body", limit));
        }
        let timeout = self.settings.body_timeout.0;
        match tokio::time::timeout(timeout, Limited::new(body, limit).collect()).await {
            Err(_elapsed) => Err(Problem::too_slow(timeout)),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                Err(Problem::too_large("The body", limit))
            }
            Ok(Err(error)) => Err(Problem::malformed(format!("The body broke off: {error}."))),
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
        }
    }

    /// The webhook source of that name.
    pub(crate) fn source(&self, name: &str) -> Option<Arc<dyn AnyWebhookSource>> {
        self.sources.load().get(name).cloned()
    }

    /// Scheme and host as the platform called them.
    pub(crate) fn base_url(&self, headers: &HeaderMap) -> String {
        match &self.settings.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
                format!("http://{host}")
            }
        }
    }
}

/// Runs the gateway until the host shuts down.
///
/// # Errors
/// [`ServiceError`]: an address that can't be had, a configuration that does not hold, requests cut off at the end of the
/// grace period.
pub async fn run(host: Host, settings: GatewaySettings) -> anyhow::Result<()> {
    let keys = key_ring(&host, &settings.keys)?;
    check_listen("gateway", settings.listen, &settings.keys)?;
    measure::begin(&settings.keys);
    check_sizes(&settings, host.broker.capabilities().max_record.min(host.shared.channels.max_record))?;
    let (intake, publishing) = Intake::start(IntakeParts {
        broker: host.broker.clone(),
        store: host.store.clone(),
        instance: host.instance.clone(),
        journey: host.shared.channels.journey,
        dedupe: settings.dedupe.0,
        max_record: host.broker.capabilities().max_record.min(host.shared.channels.max_record),
        max_waiting: settings.max_waiting,
        confirm_timeout: settings.confirm_timeout.0,
    });
    let (sources, polling) = make_sources(&host, &host.shared).await?;
    let polling = polling::start(polling, &intake, &host);
    let gateway = Arc::new(Gateway {
        intake,
        broker: host.broker.clone(),
        sources: ArcSwap::from_pointee(sources),
        keys: ArcSwap::from_pointee(keys),
        rate: key_rate(&settings),
        settings: settings.clone(),
    });
    let listener = tokio::net::TcpListener::bind(settings.listen).await.map_err(|cause| {
        ServiceError::unavailable(
            format!("the gateway's address {} (gateway.listen)", settings.listen),
            cause,
        )
    })?;
    info!(listen = %listener.local_addr()?, "the gateway takes events");
    let following = tokio::spawn(follow(host.clone(), gateway.clone()));
    let limits = server::Limits {
        connections: settings.max_connections,
        header_timeout: settings.header_timeout.0,
        grace: host.grace,
    };
    let store = host.store.clone();
    let forget = move |before, at_once| {
        let store = store.clone();
        async move { store.prune_seen(before, at_once).await }
    };
    let pruning = tokio::spawn(keep_pruned("seen ids", settings.dedupe.0, host.shutdown.clone(), forget));
    host.ready("gateway");
    let ended = server::serve(listener, routes(gateway.clone()), limits, host.shutdown.clone()).await;
    following.abort();
    pruning.abort();
    drop(polling);
    drop(gateway);
    // Whoever still waits for the broker is answered before the process ends.
    let answered = tokio::time::timeout(host.grace, publishing).await.is_ok();
    if ended && answered {
        return Ok(());
    }
    Err(ServiceError::Unsettled(
        "requests were cut off; their senders were told nothing and send again".to_owned(),
    )
    .into())
}

fn key_rate(settings: &GatewaySettings) -> Option<KeyRate> {
    settings.rate_limit.as_ref().map(|rate| (limiter(rate.count, rate.per), DefaultClock::default()))
}

fn key_ring(host: &Host, keys: &[KeyEntry]) -> anyhow::Result<KeyRing> {
    KeyRing::new(keys, &host.secrets).context("gateway.keys")
}

fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/events", post(api::events))
        .route("/hooks/{source}", post(hooks::webhook))
        .fallback(|| async { Problem::unknown_path() })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .with_state(gateway)
}

/// A record must be able to hold a body twice (event and transformed body) and what surrounds it.
fn check_sizes(settings: &GatewaySettings, max_record: usize) -> anyhow::Result<()> {
    let needed = 2 * settings.max_body.0 + 64 * 1024;
    anyhow::ensure!(
        needed <= max_record as u64,
        "gateway.max_body of {} bytes needs records of {needed} bytes, but the broker takes {max_record}: lower gateway.max_body or raise channels.max_record",
        settings.max_body.0,
    );
    Ok(())
}

async fn make_sources(host: &Host, shared: &Shared) -> anyhow::Result<(Sources, Vec<Polling>)> {
    let (mut webhooks, mut polling) = (Sources::new(), Vec::new());
    for (name, entry) in &shared.sources {
        let context = shared.context(name.as_str(), &host.instance);
        match host.adapters.make_source(entry, &context).await? {
            MadeSource::Webhook(source) => {
                measure::webhook(name.as_str());
                webhooks.insert(name.to_string(), source);
            }
            MadeSource::Polling(source) => {
                measure::polling(name.as_str());
                polling.push((name.to_string(), entry.clone(), source));
            }
        }
    }
    Ok((webhooks, polling))
}

/// Takes webhook sources and keys of a changed configuration; one that does not hold changes nothing. Sources that fetch
/// go on as they are until a restart.
async fn follow(host: Host, gateway: Arc<Gateway>) {
    let mut configuration = host.configuration.clone();
    while configuration.changed().await.is_ok() {
        let shared = configuration.borrow_and_update().clone();
        match reload(&host, &gateway, &shared).await {
            Ok(()) => info!(sources = shared.sources.len(), "the gateway's sources and keys were replaced"),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the gateway keeps its sources and keys")
            }
        }
    }
}

async fn reload(host: &Host, gateway: &Gateway, shared: &Shared) -> anyhow::Result<()> {
    let (sources, polling) = make_sources(host, shared).await?;
    let mut diagnostics = Diagnostics::new();
    let keys = shared.keys("gateway", &mut diagnostics).ok_or(ServiceError::Configuration(diagnostics))?;
    check_listen("gateway", gateway.settings.listen, &keys)?;
    measure::keys(&keys);
    gateway.keys.store(Arc::new(key_ring(host, &keys)?));
    gateway.sources.store(Arc::new(sources));
    if !polling.is_empty() {
        tracing::warn!("changed sources that fetch begin at the next start");
    }
    Ok(())
}

fn limiter(count: u32, per: Duration) -> DefaultKeyedRateLimiter<String> {
    // A rate of none at all can't be configured; one in a day is the slowest.
    let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(per / count.get()).unwrap_or(Quota::per_second(count));
    RateLimiter::keyed(quota.allow_burst(count))
}
