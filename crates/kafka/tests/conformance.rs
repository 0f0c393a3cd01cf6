//! The Kafka engine keeps the port's contracts, with and without transactions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "conformance/server.rs"]
mod server;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use trunkline_broker::conformance::{Fixture, RESTARTING};
use trunkline_broker::{Broker, ChannelName, GroupName};
use trunkline_kafka::{KafkaBroker, Options};

use server::Server;

/// Hand-overs publish, then settle.
type Plain = Kafka<false>;
/// Hand-overs are transactions.
type Transactional = Kafka<true>;

trunkline_broker::conformance!(Plain, Transactional);

const UNSETTLED: usize = 500;
/// Short, because cases in which a process dies wait for its end.
const SESSION: Duration = Duration::from_secs(3);
const COMMIT_INTERVAL: Duration = Duration::from_millis(50);

/// A prefix of its own on a server.
struct Kafka<const TRANSACTIONAL: bool> {
    server: Server,
    prefix: String,
    instances: Mutex<HashMap<String, KafkaBroker>>,
    /// The server was restarted, or a process died.
    disturbed: AtomicBool,
}

impl<const TRANSACTIONAL: bool> Kafka<TRANSACTIONAL> {
    fn options(&self, name: &str) -> Options {
        Options {
            transactional: TRANSACTIONAL,
            max_unsettled_records: UNSETTLED,
            session_timeout: SESSION,
            revoke_grace: Duration::from_millis(600),
            commit_interval: COMMIT_INTERVAL,
            retention_interval: Duration::from_millis(300),
            ..Options::new(self.server.address(), &self.prefix, name)
        }
    }
}

impl<const TRANSACTIONAL: bool> Fixture for Kafka<TRANSACTIONAL> {
    fn is_absent(case: &str) -> bool {
        xtask::brokers::skipped(&format!("kafka::{case}"))
    }

    async fn start(case: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = if RESTARTING.contains(&case) { Server::mortal().await } else { Server::steady().await };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("case-{}-{number}.", std::process::id());
        Self { server, prefix, instances: Mutex::default(), disturbed: AtomicBool::new(false) }
    }

    async fn instance(&self, name: &str) -> Option<Arc<dyn Broker>> {
        let mut instances = self.instances.lock().await;
        if !instances.contains_key(name) {
            let broker = KafkaBroker::connect(self.options(name)).await.unwrap();
            instances.insert(name.to_owned(), broker);
        }
        Some(Arc::new(instances[name].clone()))
    }

    async fn restart(&self) {
        self.disturbed.store(true, Ordering::Relaxed);
        let mut instances = self.instances.lock().await;
        // A server may be away for longer than a session. Then leases are lost, and what was settled and is not committed
        // comes again; so what was settled before is given time to be committed.
        tokio::time::sleep(COMMIT_INTERVAL * 10).await;
        self.server.restart().await;
        instances.clear();
    }

    async fn crash(&self, name: &str) {
        self.disturbed.store(true, Ordering::Relaxed);
        if let Some(broker) = self.instances.lock().await.remove(name) {
            broker.abandon();
        }
    }

    async fn elapse_consumer_timeout(&self) {
        tokio::time::sleep(SESSION).await;
    }

    async fn break_group(&self, _channel: &ChannelName, _group: &GroupName) -> bool {
        false
    }

    fn unsettled_bound(&self) -> usize {
        UNSETTLED
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// After a restart of the server, or after a process died, a group takes a few seconds to gather again.
    fn quiet(&self) -> Duration {
        Duration::from_secs(if self.disturbed.load(Ordering::Relaxed) { 8 } else { 2 })
    }

    async fn stop(self) {
        for broker in self.instances.into_inner().into_values() {
            broker.close().await;
        }
    }
}
