//! The Kafkas of this binary: one that all cases share which leave it alone, and some that are restarted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use trunkline_kafka::{KafkaBroker, Options};
use xtask::brokers::kafka::{Kafka, Settings};

/// Servers that were restarted and that no case is at.
static IDLE: Mutex<Vec<Arc<Kafka>>> = Mutex::new(Vec::new());

/// A case's server.
pub(crate) struct Server {
    kafka: Arc<Kafka>,
    is_mortal: bool,
}

impl Server {
    /// The one for cases that leave it alone.
    pub(crate) async fn steady() -> Self {
        static STEADY: OnceCell<Arc<Kafka>> = OnceCell::const_new();
        Self { kafka: STEADY.get_or_init(launch).await.clone(), is_mortal: false }
    }

    /// One that no other case is at.
    pub(crate) async fn mortal() -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let kafka = match idle {
            Some(kafka) => kafka,
            None => launch().await,
        };
        Self { kafka, is_mortal: true }
    }

    pub(crate) fn address(&self) -> &str {
        self.kafka.address()
    }

    pub(crate) async fn restart(&self) {
        assert!(self.is_mortal, "a case that restarts its server is to be among `RESTARTING`");
        let kafka = self.kafka.clone();
        spawn_blocking(move || kafka.restart()).await.unwrap().unwrap();
        // It answers before it knows its own topics.
        while KafkaBroker::connect(Options::new(self.address(), "restart.", "probe")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.is_mortal {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self.kafka.clone());
        }
    }
}

async fn launch() -> Arc<Kafka> {
    // Cases in which a process dies wait until its session ends.
    let settings = Settings::default().property("group.min.session.timeout.ms", "1000");
    Arc::new(spawn_blocking(move || Kafka::launch(&settings)).await.unwrap().unwrap())
}
