//! Producers that send at a steady rate and know several gateways, as a client behind a load balancer does: where one does not
//! answer, they turn to the next at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use tokio::task::{JoinHandle, JoinSet};

use crate::{Ledger, Tag};

/// Who shares the rate; each has one key.
const PRODUCERS: u32 = 25;
/// Between two syncs of the ledger.
const SYNC: Duration = Duration::from_millis(50);
/// After no gateway took an event.
const AGAIN: Duration = Duration::from_millis(20);

/// Producers under way.
pub struct Steady {
    producers: JoinSet<()>,
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// What producers were told besides acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Answers other than an acknowledgement, and times that no gateway gave one at all.
    pub unavailable: usize,
    /// Times that one turned to the next gateway.
    pub turned: usize,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    unavailable: AtomicUsize,
    turned: AtomicUsize,
    acked: Mutex<Vec<Tag>>,
}

impl Steady {
    /// Starts sending so many events a second, all producers together, to the gateways at `urls`.
    pub fn start(urls: &[String], ledger: &Arc<Ledger>, rate: u32) -> Self {
        let shared = Arc::<Shared>::default();
        let each = Duration::from_secs(1) * PRODUCERS / rate;
        let mut producers = JoinSet::new();
        for producer in 0..PRODUCERS {
            producers.spawn(produce(urls.to_owned(), ledger.clone(), shared.clone(), each, producer));
        }
        let keeper = tokio::spawn(keep(ledger.clone(), shared.clone()));
        Self { producers, shared, keeper }
    }

    /// Ends after the events that are under way: each is acknowledged before this returns.
    pub async fn stop(self) -> Told {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.producers.join_all().await;
        self.keeper.await.unwrap();
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Told { unavailable: count(&self.shared.unavailable), turned: count(&self.shared.turned) }
    }
}

/// Notes what is acknowledged, many at once: a sync for each would be slower than the rate.
async fn keep(ledger: Arc<Ledger>, shared: Arc<Shared>) {
    loop {
        let last = shared.stop.load(Ordering::Relaxed) && Arc::strong_count(&shared) == 2;
        let acked = std::mem::take(&mut *shared.acked.lock().unwrap());
        let ledger = ledger.clone();
        tokio::task::spawn_blocking(move || ledger.acked_all(&acked)).await.unwrap();
        if last {
            return;
        }
        tokio::time::sleep(SYNC).await;
    }
}

async fn produce(urls: Vec<String>, ledger: Arc<Ledger>, shared: Arc<Shared>, each: Duration, producer: u32) {
    let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    let mut ticks = tokio::time::interval(each);
    let mut at = producer as usize % urls.len();
    for seq in 0.. {
        ticks.tick().await;
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let tag = Tag { producer, key: 0, seq };
        ledger.sending(tag);
        let mut failed = 0;
        while let Err(answered) = send(&client, &urls[at], tag).await {
            if !answered {
                at = (at + 1) % urls.len();
                failed += 1;
                shared.turned.fetch_add(1, Ordering::Relaxed);
            }
            if answered || failed % urls.len() == 0 {
                shared.unavailable.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(AGAIN).await;
            }
        }
        shared.acked.lock().unwrap().push(tag);
    }
}

/// Acknowledged; else whether there was an answer.
async fn send(client: &Client, url: &str, tag: Tag) -> Result<(), bool> {
    let request =
        client.post(url).header("content-type", "application/cloudevents+json").body(tag.event().to_string());
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => {
            let status = answer.status();
            println!("{}: {status}", tag.id());
            assert!(!status.is_client_error(), "{}: {status}", tag.id());
            Err(true)
        }
        Err(_) => Err(false),
    }
}
