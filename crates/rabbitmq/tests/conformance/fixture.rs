//! A corner of the server for one case: a prefix, and processes with a way of their own to it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lapin::options::QueueDeleteOptions;
use lapin::{Connection, ConnectionProperties};
use tokio::sync::{Mutex, OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use trunkline_broker::conformance::Fixture;
use trunkline_broker::{Broker, ChannelName, GroupName};
use trunkline_rabbitmq::{Options, RabbitBroker};

use crate::proxy::Proxy;
use crate::server::{CONSUMER_TIMEOUT, Server};

const PREFETCH: u16 = 200;

/// Processes by name, on a prefix that no other case has.
pub(crate) struct Rabbit {
    pub(crate) server: &'static Server,
    pub(crate) prefix: String,
    processes: Mutex<HashMap<String, (RabbitBroker, Proxy)>>,
    running: Mutex<Option<OwnedRwLockReadGuard<()>>>,
}

impl Rabbit {
    /// Options for a process that goes this way to the server.
    pub(crate) fn options(&self, name: &str, port: u16) -> Options {
        Options {
            url: format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
            prefix: self.prefix.clone(),
            client: name.to_owned(),
            prefetch: PREFETCH,
            drain: Duration::from_secs(1),
            announce: Duration::from_millis(200),
            reconnect_pause: Duration::from_millis(500),
            ..Options::default()
        }
    }
}

impl Rabbit {
    /// While this is kept, no other case runs, so that this one may disturb the server.
    pub(crate) async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        drop(self.running.lock().await.take());
        self.server.alone().await
    }

    /// Lets other cases run again, beside this one.
    pub(crate) async fn together(&self, alone: OwnedRwLockWriteGuard<()>) {
        *self.running.lock().await = Some(alone.downgrade());
    }
}

impl Fixture for Rabbit {
    async fn start(_: &str) -> Self {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let server = Server::get().await;
        let running = Mutex::new(Some(server.running().await));
        let prefix = format!("c{}.", CASES.fetch_add(1, Ordering::Relaxed));
        Self { server, prefix, processes: Mutex::default(), running }
    }

    async fn instance(&self, name: &str) -> Option<Arc<dyn Broker>> {
        let mut processes = self.processes.lock().await;
        if !processes.contains_key(name) {
            let proxy = Proxy::start(self.server.address()).await;
            let broker = RabbitBroker::connect(self.options(name, proxy.port)).await.unwrap();
            processes.insert(name.to_owned(), (broker, proxy));
        }
        Some(Arc::new(processes[name].0.clone()))
    }

    async fn restart(&self) {
        // Another case that waits for its restart must not wait for this one, so this one stops being one that runs.
        let alone = self.alone().await;
        self.server.restart().await;
        self.processes.lock().await.clear();
        self.together(alone).await;
    }

    async fn crash(&self, name: &str) {
        if let Some((_, proxy)) = self.processes.lock().await.remove(name) {
            proxy.cut().await;
        }
    }

    async fn elapse_consumer_timeout(&self) {
        // The server looks once a second.
        tokio::time::sleep(CONSUMER_TIMEOUT + Duration::from_secs(2)).await;
    }

    async fn break_group(&self, channel: &ChannelName, group: &GroupName) -> bool {
        let connection =
            Connection::connect(self.server.url(), ConnectionProperties::default()).await.unwrap();
        let amqp = connection.create_channel().await.unwrap();
        let queue = format!("{}{channel}:{group}:0", self.prefix);
        amqp.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
        connection.close(200, "done".into()).await.unwrap();
        true
    }

    fn unsettled_bound(&self) -> usize {
        usize::from(PREFETCH)
    }

    fn keeps_settled(&self) -> bool {
        false
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(1500)
    }

    async fn stop(self) {
        for (broker, _) in self.processes.into_inner().into_values() {
            broker.close().await;
        }
    }
}
