//! Producers: each sends its keys' events one after the other, and an unacknowledged one again until it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Client;
use tokio::task::JoinSet;

use crate::{Ledger, Tag};

/// How long a producer waits before it sends again what was not acknowledged.
const AGAIN: Duration = Duration::from_millis(20);

/// Producers under way.
pub struct Load {
    producers: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Producers at once.
    pub producers: u32,
    /// Ordering keys of each.
    pub keys: u32,
    /// Events of each key, at most.
    pub events: u32,
}

impl Load {
    /// Starts sending to the gateway at `url`.
    pub fn start(url: &str, ledger: &Arc<Ledger>, plan: Plan) -> Self {
        Self::start_from(url, ledger, plan, 0)
    }

    /// As [`Load::start`], with producers that are numbered from `first`: those before it have sent already.
    pub fn start_from(url: &str, ledger: &Arc<Ledger>, plan: Plan, first: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut producers = JoinSet::new();
        for producer in first..first + plan.producers {
            producers.spawn(produce(url.to_owned(), ledger.clone(), stop.clone(), plan, producer));
        }
        Self { producers, stop }
    }

    /// Waits until everything planned is acknowledged.
    pub async fn finish(self) {
        self.producers.join_all().await;
    }

    /// Ends after the events that are under way: each is acknowledged before this returns.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.producers.join_all().await;
    }
}

async fn produce(url: String, ledger: Arc<Ledger>, stop: Arc<AtomicBool>, plan: Plan, producer: u32) {
    let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    for seq in 0..plan.events {
        for key in 0..plan.keys {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let tag = Tag { producer, key, seq };
            ledger.sending(tag);
            while !send(&client, &url, tag).await {
                tokio::time::sleep(AGAIN).await;
            }
            ledger.acked(tag);
        }
    }
}

/// Whether the gateway acknowledged it. A refusal for good is a fault of the test.
async fn send(client: &Client, url: &str, tag: Tag) -> bool {
    let request =
        client.post(url).header("content-type", "application/cloudevents+json").body(tag.event().to_string());
    let Ok(answer) = request.send().await else { return false };
    let status = answer.status();
    assert!(!status.is_client_error(), "{}: {status}", tag.id());
    status.is_success()
}
