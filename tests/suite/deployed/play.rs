//! The play: webhooks in, deliveries out, every service killed and restarted once, and the account balances.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use trunkline_tests::account::holds;
use trunkline_tests::command::Printed;
use trunkline_tests::{eventually, signing, workspace};

use super::RECOVERED;

/// Deliveries between two kills.
const BETWEEN: u64 = 20;
/// Who sends webhooks, and how long each waits between two.
const SENDERS: usize = 2;
const PAUSE: Duration = Duration::from_millis(50);

/// The services of docker-compose.yml, whatever they run in.
pub(super) trait Topology {
    /// Where the machine reaches a port of a service, `host:port`.
    fn address(&self, host: &str, port: u16) -> String;

    /// The services that may be killed.
    fn hosts(&self) -> Vec<String>;

    /// `kill -9`, then a start; returns when the service's own health check is content.
    async fn kill_and_restart(&self, host: &str);

    /// Runs the binary beside a service, with its configuration.
    async fn run(&self, host: &str, arguments: &[&str]) -> Printed;
}

/// Plays it on services that are ready.
pub(super) async fn play(topology: &impl Topology, case: &str) {
    let client = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let account = Account {
        client: client.clone(),
        url: format!("http://{}/api/v1/account", topology.address("console", 8090)),
        key: secret("operate"),
    };
    let platform = Platform::start(&client, &topology.address("gateway", 8080));
    let mut delivered = account.flows(0).await;
    for host in topology.hosts() {
        topology.kill_and_restart(&host).await;
        delivered = account.flows(delivered).await;
    }
    let acked = platform.stop().await;
    let settled = account.settled(acked.len() as u64).await;
    let arrived = arrived(topology, &acked).await;
    println!(
        "{case}: {} webhooks acknowledged, all arrived; {arrived} records at the receiver; {settled}",
        acked.len()
    );
    assert_eq!(settled["deliveries"]["dead"], 0, "{settled}");
}

/// A secret of the demonstration.
fn secret(name: &str) -> String {
    workspace::read(&format!("deploy/compose/secrets/{name}"))
}

/// Sends webhooks, each again until it is acknowledged, as platforms do.
struct Platform {
    senders: JoinSet<()>,
    stop: Arc<AtomicBool>,
    acked: Arc<Mutex<BTreeSet<String>>>,
}

impl Platform {
    fn start(client: &Client, gateway: &str) -> Self {
        let url = format!("http://{gateway}/hooks/shop");
        let (stop, acked, next) = (Arc::default(), Arc::default(), Arc::<AtomicUsize>::default());
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (client, url, next) = (client.clone(), url.clone(), next.clone());
            let (stop, acked): (Arc<AtomicBool>, Arc<Mutex<BTreeSet<String>>>) =
                (Arc::clone(&stop), Arc::clone(&acked));
            senders.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("order-{}", next.fetch_add(1, Ordering::Relaxed));
                    while !hook(&client, &url, &id).await {
                        tokio::time::sleep(PAUSE).await;
                    }
                    acked.lock().unwrap().insert(id);
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self { senders, stop, acked }
    }

    /// The ids that were acknowledged.
    async fn stop(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.join_all().await;
        std::mem::take(&mut self.acked.lock().unwrap())
    }
}

/// Whether the gateway took it. Only what passes may be in its way.
async fn hook(client: &Client, url: &str, id: &str) -> bool {
    let body = json!({ "id": id, "type": "order.paid", "total": 4250 }).to_string();
    let signature = hex::encode(signing::hmac(secret("shop").as_bytes(), &[body.as_bytes()]));
    let request =
        client.post(url).header("content-type", "application/json").header("x-signature", signature);
    let Ok(answer) = request.body(body).send().await else { return false };
    let status = answer.status();
    assert!(!status.is_client_error(), "{id}: {status}");
    status.is_success()
}

/// The console's account.
struct Account {
    client: Client,
    url: String,
    key: String,
}

impl Account {
    async fn ask(&self) -> Option<Value> {
        let answer = self.client.get(&self.url).bearer_auth(&self.key).send().await.ok()?;
        assert!(!answer.status().is_client_error(), "{}", answer.status());
        if !answer.status().is_success() {
            return None;
        }
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// Waits until some more were delivered than those; how many there are then.
    async fn flows(&self, before: u64) -> u64 {
        eventually(format!("more than {before} deliveries"), RECOVERED, async || {
            let delivered = self.ask().await?["deliveries"]["delivered"].as_u64().unwrap();
            (delivered >= before + BETWEEN).then_some(delivered)
        })
        .await
    }

    /// Waits until nothing moves, nothing is missing, and the account knows of so many events at least.
    async fn settled(&self, acked: u64) -> Value {
        let mut last = Value::Null;
        let settled = async {
            loop {
                if let Some(account) = self.ask().await {
                    let enough = account["events"]["accepted"].as_u64().unwrap() >= acked;
                    last = account;
                    if enough && holds(&last) {
                        return;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        // What waited for a killed service, and for a destination that was spared after its failures, comes one after the other.
        let settled = tokio::time::timeout(RECOVERED * 2, settled).await;
        assert!(settled.is_ok(), "{acked} webhooks were acknowledged, and the account is still {last}");
        last
    }
}

/// Asserts that the receiver has them all; how many records it has.
async fn arrived(topology: &impl Topology, acked: &BTreeSet<String>) -> usize {
    let mut limit = acked.len();
    loop {
        let asked = limit.to_string();
        let tail = ["tail", "--oldest", "--json", "--limit", &asked];
        let tail = tokio::time::timeout(RECOVERED, topology.run("receiver", &tail)).await;
        let records =
            tail.unwrap_or_else(|_| panic!("the receiver does not have {limit} records")).expect(0).lines();
        let ids: BTreeSet<&str> =
            records.iter().filter_map(|record| record["event"]["id"].as_str()).collect();
        let missing = acked.iter().filter(|id| !ids.contains(id.as_str())).count();
        if missing == 0 {
            return records.len();
        }
        // What was delivered again takes the place of what is still to be read.
        limit += missing;
    }
}
