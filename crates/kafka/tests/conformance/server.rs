//! The Kafka that all cases of this binary share. A case that restarts it waits until it is alone.

use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell, OwnedRwLockReadGuard, RwLock};

pub(crate) struct Server {
    address: String,
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
        Self { address: std::env::var("TRUNKLINE_TEST_KAFKA").unwrap(), cases: Arc::default() }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn share(&self) -> Permit {
        Permit(Mutex::new(Some(self.cases.clone().read_owned().await)))
    }

    /// Restarts it once no other case is at it.
    pub(crate) async fn restart(&self, permit: &Permit) {
        let mut share = permit.0.lock().await;
        drop(share.take());
        let alone = self.cases.write().await;
        let done = tokio::process::Command::new("/tmp/kbx/run.sh").arg("restart").status().await.unwrap();
        assert!(done.success());
        drop(alone);
        *share = Some(self.cases.clone().read_owned().await);
    }
}
