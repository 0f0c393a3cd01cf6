//! Health and metrics of a process: `/healthz`, `/readyz` and `/metrics`, without keys and with nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::exit::ServiceError;
use super::metrics::Metrics;

/// How often histograms are brought up to date.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long requests may take that are under way at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Which services of a process are ready. Services with equal addresses share one listener.
#[derive(Debug, Clone)]
pub struct Admin {
    metrics: Metrics,
    checks: Arc<Mutex<BTreeMap<String, Check>>>,
}

#[derive(Debug)]
struct Check {
    address: SocketAddr,
    /// Why it is not ready; `None` when it is.
    waiting: Option<String>,
}

/// The listeners, bound; requests wait in them until [`BoundAdmin::serve`].
#[derive(Debug)]
pub struct BoundAdmin {
    admin: Admin,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl Admin {
    /// No services yet.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, checks: Arc::default() }
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Announces a service of this process before it starts, so that the process is not ready before it is.
    pub fn expect(&self, service: &str, address: SocketAddr) {
        let check = Check { address, waiting: Some("starting".to_owned()) };
        self.lock().insert(service.to_owned(), check);
    }

    /// A service is ready.
    pub fn ready(&self, service: &str) {
        self.set(service, None);
    }

    /// A service is not ready, for a reason without secrets.
    pub fn not_ready(&self, service: &str, reason: impl Into<String>) {
        self.set(service, Some(reason.into()));
    }

    /// Says what the services wait for that are not ready, without secrets.
    pub fn waiting(&self, reason: &str) {
        for check in self.lock().values_mut().filter(|check| check.waiting.is_some()) {
            check.waiting = Some(reason.to_owned());
        }
    }

    /// Binds one listener for each address.
    ///
    /// # Errors
    /// [`ServiceError::Unavailable`] names the address that can't be had.
    pub async fn bind(&self) -> Result<BoundAdmin, ServiceError> {
        let mut addresses: Vec<SocketAddr> = self.lock().values().map(|check| check.address).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            let listener = TcpListener::bind(address)
                .await
                .map_err(|cause| ServiceError::unavailable(format!("the admin address {address}"), cause))?;
            listeners.push((address, listener));
        }
        Ok(BoundAdmin { admin: self.clone(), listeners })
    }

    fn set(&self, service: &str, waiting: Option<String>) {
        if let Some(check) = self.lock().get_mut(service) {
            check.waiting = waiting;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Check>> {
        // A panic elsewhere leaves the map whole: every change of it is one assignment.
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn router(&self, address: SocketAddr) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state((self.clone(), address))
    }
}

impl BoundAdmin {
    /// Where the listeners are: the real addresses where port 0 was asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|(_asked, listener)| listener.local_addr().ok()).collect()
    }

    /// Answers until `shutdown`. It should be told after the services have stopped, so that one can still look at them.
    ///
    /// # Errors
    /// What the listeners' sockets say.
    pub async fn serve(self, shutdown: CancellationToken) -> std::io::Result<()> {
        let mut serving = tokio::task::JoinSet::new();
        for (address, listener) in self.listeners {
            let router = self.admin.router(address);
            let stopped = shutdown.clone().cancelled_owned();
            serving.spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        }
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        loop {
            tokio::select! {
                _at = upkeep.tick() => self.admin.metrics.upkeep(),
                ended = serving.join_next() => match ended {
                    Some(ended) => ended.map_err(std::io::Error::other)??,
                    None => return Ok(()),
                },
                () = cut_off(&shutdown) => return Ok(()),
            }
        }
    }
}

/// A client that never ends its request must not keep the process from ending.
async fn cut_off(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(LAST_ANSWERS).await;
}

async fn readyz(State((admin, address)): State<(Admin, SocketAddr)>) -> impl IntoResponse {
    let mut services = serde_json::Map::new();
    let mut ready = true;
    for (name, check) in admin.lock().iter().filter(|(_, check)| check.address == address) {
        ready &= check.waiting.is_none();
        let state = match &check.waiting {
            None => json!({ "ready": true }),
            Some(reason) => json!({ "ready": false, "reason": reason }),
        };
        services.insert(name.clone(), state);
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "services": services })))
}

async fn metrics(State((admin, _address)): State<(Admin, SocketAddr)>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn ready_when_every_service_of_the_address_is() {
        let admin = Admin::new(Metrics::install().unwrap());
        let any = "127.0.0.1:0".parse().unwrap();
        admin.expect("gateway", any);
        admin.expect("router", any);
        let bound = admin.bind().await.unwrap();
        let [address] = bound.addresses()[..] else { panic!("equal addresses share one listener") };
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(bound.serve(shutdown.clone()));

        assert_eq!(get(address, "/healthz").await, (200, "ok\n".to_owned()));
        admin.ready("gateway");
        let (status, body) = get(address, "/readyz").await;
        assert_eq!(status, 503);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["services"]["router"]["reason"], "starting");
        assert_eq!(body["services"]["gateway"]["ready"], true);
        admin.ready("router");
        assert_eq!(get(address, "/readyz").await.0, 200);
        admin.not_ready("router", "the broker can't be had");
        assert_eq!(get(address, "/readyz").await.0, 503);
        let (status, body) = get(address, "/metrics").await;
        assert!(status == 200 && body.contains("trunkline_build_info{"), "{body}");
        assert_eq!(get(address, "/").await.0, 404);

        shutdown.cancel();
        serving.await.unwrap().unwrap();
        let taken = tokio::net::TcpListener::bind(any).await.unwrap();
        let admin = Admin::new(Metrics::install().unwrap());
        admin.expect("gateway", taken.local_addr().unwrap());
        let refused = admin.bind().await.unwrap_err();
        assert!(refused.to_string().contains("the admin address 127.0.0.1:"), "{refused}");
    }
}
