//! The listener: limits on connections and on the time a client takes, and a graceful end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use metrics::gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tracing::{debug, warn};
use trunkline_sdk::metric;

use crate::linger::Lingering;
use crate::times::Times;

/// What a listener permits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; a further one waits in the system's queue.
    pub connections: usize,
    /// How long a client may take to send a request's headers.
    pub header_timeout: Duration,
    /// How long requests under way may take after a stop was asked for.
    pub grace: Duration,
}

/// Serves `routes` until `shutdown`, then lets requests under way end. `true` when all did within the grace period.
///
/// What every request passes stands here and not in layers of `routes`: a layer costs each request a box and a clone of
/// everything below it.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> bool {
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let times = Times::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Some(Duration::from_secs(30)));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let Ok(peer) = stream.peer_addr() else { continue };
        let (routes, times) = (routes.clone(), times.clone());
        let service = service_fn(move |request| answer(routes.clone(), times.clone(), request));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            gauge!(metric::GATEWAY_CONNECTIONS).increment(1.0);
            if let Err(error) = connection.await {
                debug!(%peer, error, "a connection ended");
            }
            gauge!(metric::GATEWAY_CONNECTIONS).decrement(1.0);
            drop(place);
        });
    }
    drop(listener);
    tokio::time::timeout(limits.grace, graceful.shutdown()).await.is_ok()
}

async fn answer(
    mut routes: Router,
    times: Times,
    request: axum::http::Request<Incoming>,
) -> Result<Response, Infallible> {
    let (time, started) = (times.of(request.uri().path()), Instant::now());
    let response = routes.call(request.map(Lingering::new)).await;
    time.record(started.elapsed());
    response
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Answers are small and wanted at once.
            stream.set_nodelay(true).ok()?;
            Some((stream, place))
        }
        Err(error) => {
            // Out of file descriptors, mostly: wait for connections to end instead of spinning.
            warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}
