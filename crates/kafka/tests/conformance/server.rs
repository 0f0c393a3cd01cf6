//! The Kafka that all cases of this binary share. A case that restarts it waits until it is alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell, OwnedRwLockReadGuard, RwLock};
use tokio::task::spawn_blocking;
use trunkline_kafka::{KafkaBroker, Options};
use xtask::brokers::kafka::{Kafka, Settings};

pub(crate) struct Server {
    kafka: Arc<Kafka>,
    cases: Arc<RwLock<()>>,
}

/// A case's share of the server.
pub(crate) struct Permit(Mutex<Option<OwnedRwLockReadGuard<()>>>);

impl Server {
    pub(crate) async fn get() -> &'static Self {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        SERVER.get_or_init(Self::launch).await
    }

    async fn launch() -> Self {
        // Cases in which a process dies wait until its session ends.
        let settings = Settings::default().property("group.min.session.timeout.ms", "1000");
        let kafka = spawn_blocking(move || Kafka::launch(&settings)).await.unwrap().unwrap();
        Self { kafka: Arc::new(kafka), cases: Arc::default() }
    }

    pub(crate) fn address(&self) -> &str {
        self.kafka.address()
    }

    pub(crate) async fn share(&self) -> Permit {
        Permit(Mutex::new(Some(self.cases.clone().read_owned().await)))
    }

    /// Restarts it once no other case is at it.
    pub(crate) async fn restart(&self, permit: &Permit) {
        let mut share = permit.0.lock().await;
        drop(share.take());
        let alone = self.cases.write().await;
        let kafka = self.kafka.clone();
        spawn_blocking(move || kafka.restart()).await.unwrap().unwrap();
        // It answers before it knows its own topics.
        while KafkaBroker::connect(Options::new(self.address(), "restart.", "probe")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(alone);
        *share = Some(self.cases.clone().read_owned().await);
    }
}
