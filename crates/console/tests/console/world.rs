//! A console on a bus of its own, spoken to over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use trunkline_console::ConsoleSettings;
use trunkline_console::replay::Worker;
use trunkline_rules::RuleSet;
use trunkline_sdk::broker::{Broker, ChannelName, GroupName, Outgoing};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::core::config::Diagnostics;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::JourneyRecord;
use trunkline_sdk::core::{DeadLetter, Delivery};
use trunkline_sdk::testing::TestBus;
use trunkline_sdk::{serde_json, tokio};

use crate::SOON;

/// Two destinations, a subscription whose transform of today differs from that of then, and a webhook source.
pub(crate) const CONFIGURATION: &str = r#"
version: 1
sources:
  hooks:
    adapter: hmac
    settings:
      secret: "${file:secret}"
      signature: { header: x-signature }
      type: header:x-kind
      id: /id
destinations:
  crm:
    adapter: http
    settings:
      url: "https://crm.example.com/orders/{{ .data.order }}"
      bearer: "${file:secret}"
  erp: { external: true }
subscriptions:
  orders:
    match: { type: ["order.created"] }
    transform: '{ "today": .data.order }'
    to: crm
"#;

pub(crate) struct World {
    pub(crate) bus: TestBus,
    pub(crate) base: String,
    service: JoinHandle<anyhow::Result<()>>,
    http: Client,
}

/// An answer whose content type is what its status asks for.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// With more lines in the section `console`.
    pub(crate) async fn with(console: &str) -> Self {
        Self::of(&configuration(console)).await
    }

    pub(crate) async fn of(configuration: &str) -> Self {
        let bus = TestBus::start(configuration, trunkline_adapters::registry()).await.unwrap();
        std::fs::write(bus.folder().join("secret"), "of-the-hook").unwrap();
        std::fs::write(bus.folder().join("reader"), "key-of-reader").unwrap();
        std::fs::write(bus.folder().join("operator"), "key-of-operator").unwrap();
        let mut diagnostics = Diagnostics::new();
        let settings: ConsoleSettings =
            bus.host().configuration.borrow().section("console", &mut diagnostics).unwrap();
        let base = format!("http://{}", settings.listen);
        let service = tokio::spawn(trunkline_console::run(bus.host(), settings));
        let world = Self { bus, base, service, http: Client::new() };
        eventually("the console listens", async || world.http.get(&world.base).send().await.ok()).await;
        world
    }

    /// Ends the console as a signal would, and says how it ended.
    pub(crate) async fn stop(self) -> (TestBus, anyhow::Result<()>) {
        self.bus.host().shutdown.cancel();
        let ended = tokio::time::timeout(SOON, self.service).await.unwrap().unwrap();
        (self.bus, ended)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("content-type", "application/json");
        Answer::of(request.body(body.to_string())).await
    }

    /// Asks for something that must be there.
    pub(crate) async fn read(&self, path: &str) -> Value {
        self.get(path).await.expect(200)
    }

    /// Puts dead letters on their channels.
    pub(crate) async fn bury(&self, letters: &[DeadLetter]) {
        let outgoing = letters.iter().map(|letter| {
            let channel = match &letter.contents {
                Contents::Delivery(delivery) => {
                    ChannelName::dead(&DestinationName::parse(&delivery.destination).unwrap())
                }
                Contents::Webhook(_) => ChannelName::dead_gateway(),
                Contents::Malformed(_) => ChannelName::dead_router(),
            };
            Outgoing::new(channel, Bytes::new(), letter.encode())
        });
        self.bus.broker().publish(outgoing.collect()).await.unwrap();
    }

    /// Puts them there and waits until the store has them; gives their ids.
    pub(crate) async fn buried(&self, letters: &[DeadLetter]) -> Vec<String> {
        self.bury(letters).await;
        let ids: Vec<String> = letters.iter().map(DeadLetter::id).collect();
        for id in &ids {
            let path = format!("/api/v1/dead-letters/{id}");
            eventually("the dead letter is stored", async || {
                (self.get(&path).await.status == StatusCode::OK).then_some(())
            })
            .await;
        }
        ids
    }

    /// Says something on the journey, as another service does.
    pub(crate) async fn tell(&self, record: JourneyRecord) {
        let record = Outgoing::new(ChannelName::journey(), Bytes::from_static(b"test"), record.encode());
        self.bus.broker().publish(vec![record]).await.unwrap();
    }

    pub(crate) async fn state_of(&self, id: &str) -> String {
        let letter = self.read(&format!("/api/v1/dead-letters/{id}")).await;
        letter["state"].as_str().unwrap().to_owned()
    }

    /// Makes a replay and waits until nothing of it is pending; its last answer.
    pub(crate) async fn replayed(&self, asked: &Value) -> Value {
        let made = self.post("/api/v1/replays", asked).await.expect(202);
        let path = format!("/api/v1/replays/{}", made["id"].as_str().unwrap());
        eventually("the replay is over", async || {
            let replay = self.read(&path).await;
            (replay["state"] != "running").then_some(replay)
        })
        .await
    }

    pub(crate) async fn lag(&self, channel: &ChannelName, group: &GroupName) -> u64 {
        lag(&*self.bus.broker(), channel, group).await
    }

    /// Deliveries that wait for a destination, taken away.
    pub(crate) async fn sent(&self, destination: &str) -> Vec<Delivery> {
        sent(&self.bus, destination).await
    }
}

/// The standard configuration with a free port, and more lines in the section `console`.
pub(crate) fn configuration(console: &str) -> String {
    format!("{CONFIGURATION}\nconsole:\n  listen: 127.0.0.1:{}\n{console}", free_port())
}

impl Answer {
    /// Sends a request and reads its answer.
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let status = response.status();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let bytes = response.bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|error| panic!("{status}: {error}: {}", String::from_utf8_lossy(&bytes)));
        let problem = content_type == "application/problem+json";
        assert_eq!(problem, !status.is_success(), "{status} as {content_type}: {body}");
        if problem {
            assert_eq!(body["status"], status.as_u16());
            assert!(body["title"].is_string() && body["type"].is_string());
        }
        Self { status, body }
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// A refusal that says what to do in these words.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, words: &str) {
        let body = self.expect(status);
        let detail = body["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "not in {SOON:?}: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(15)).await;
    }
}

pub(crate) async fn lag(broker: &dyn Broker, channel: &ChannelName, group: &GroupName) -> u64 {
    broker.lag(channel, group).await.unwrap().iter().map(|lag| lag.records).sum()
}

/// Deliveries that wait for a destination, taken away.
pub(crate) async fn sent(bus: &TestBus, destination: &str) -> Vec<Delivery> {
    let channel = ChannelName::deliver(&DestinationName::parse(destination).unwrap());
    let mut taken = Vec::new();
    loop {
        let waiting = lag(&*bus.broker(), &channel, &GroupName::dispatcher()).await;
        // The engine hands out only so many unsettled records.
        let next = usize::try_from(waiting).unwrap().min(1000);
        if next == 0 {
            return taken;
        }
        taken.extend(bus.deliveries(destination, next, SOON).await.unwrap());
    }
}

/// A replay worker on a bus without a console, with a broker of the test's choice.
pub(crate) fn worker(bus: &TestBus, broker: Arc<dyn Broker>) -> Worker {
    let shared = bus.host().configuration.borrow().clone();
    let destinations: Vec<DestinationName> = shared.destinations.keys().cloned().collect();
    let (rules, diagnostics) =
        RuleSet::compile(shared.section_node("subscriptions"), &destinations, shared.catalogue.clone());
    let rules = rules.unwrap_or_else(|| panic!("{diagnostics:?}"));
    Worker {
        broker,
        store: bus.store(),
        rules: Arc::new(arc_swap::ArcSwap::from_pointee(rules)),
        sources: Arc::default(),
        instance: "test".to_owned(),
        max_record: shared.channels.max_record,
        bell: Arc::new(Notify::new()),
    }
}

/// A port that nobody listens on; each test in the process has its own.
fn free_port() -> u16 {
    static LAST: AtomicU16 = AtomicU16::new(0);
    loop {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if LAST.swap(port, Ordering::SeqCst) != port {
            return port;
        }
    }
}

/// A filter that means these dead letters.
pub(crate) fn ids(ids: &[&str]) -> Value {
    json!({ "ids": ids })
}
