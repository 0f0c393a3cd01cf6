//! The limit of taking events in: a handler that reads the body, and a publish of whatever waits.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use trunkline_broker::{Broker, ChannelName, Outgoing};

use crate::ledger::KEY_AT;

/// Records of one publish at most, and publishes at once: as the gateway has them, so that batches are alike.
const BATCH: usize = 1_000;
const BATCHES: usize = 1;

type Waiting = (Bytes, oneshot::Sender<bool>);

/// Serves until `shutdown`.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    broker: Arc<dyn Broker>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel(10_000);
    let publishing = tokio::spawn(gather(broker, receiver));
    let routes = Router::new().route("/v1/events", post(accept)).with_state(sender);
    axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned()).await?;
    Ok(publishing.await?)
}

async fn accept(State(sender): State<mpsc::Sender<Waiting>>, body: Bytes) -> StatusCode {
    let (answer, answered) = oneshot::channel();
    match sender.send((body, answer)).await {
        Ok(()) if answered.await == Ok(true) => StatusCode::ACCEPTED,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn gather(broker: Arc<dyn Broker>, mut waiting: mpsc::Receiver<Waiting>) {
    let places = Arc::new(Semaphore::new(BATCHES));
    while let Some(first) = waiting.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let mut batch = vec![first];
        while batch.len() < BATCH {
            let Ok(next) = waiting.try_recv() else { break };
            batch.push(next);
        }
        let broker = broker.clone();
        tokio::spawn(async move {
            let (bodies, answers): (Vec<Bytes>, Vec<_>) = batch.into_iter().unzip();
            let record = |body: Bytes| Outgoing::new(ChannelName::events(), body.slice(KEY_AT), body);
            let stored = broker.publish(bodies.into_iter().map(record).collect()).await.is_ok();
            for answer in answers {
                // A client that went away does not read its answer.
                answer.send(stored).unwrap_or_default();
            }
            drop(place);
        });
    }
}
