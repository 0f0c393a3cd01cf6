//! Gathers waiting requests into batches, one after the other.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::window::Window;
use super::{IntakeParts, Waiting, batch};

/// Events of one publish, at most; a request is never split.
const BATCH_EVENTS: usize = 1_000;
/// Batches under way at once. What arrives meanwhile makes the next: more at once would be smaller ones, and much of the
/// cost of looking up, storing and noting is by batch, not by event (`cargo xtask bench gateway`).
const BATCHES: usize = 1;

/// Runs until every [`super::Intake`] is dropped and every request answered.
pub(super) async fn run(parts: Arc<IntakeParts>, mut waiting: mpsc::Receiver<Waiting>) {
    let window = Window::default();
    let places = Arc::new(Semaphore::new(BATCHES));
    let mut under_way = JoinSet::new();
    while let Some(first) = waiting.recv().await {
        // Waiting for a place lets a batch grow while the broker is busy: slower storage makes larger batches.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let mut events = first.submission.events.len();
        let mut requests = vec![first];
        while events < BATCH_EVENTS {
            let Ok(next) = waiting.try_recv() else { break };
            events += next.submission.events.len();
            requests.push(next);
        }
        let (parts, window) = (parts.clone(), window.clone());
        under_way.spawn(async move {
            batch::publish(&parts, &window, requests).await;
            drop(place);
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}
