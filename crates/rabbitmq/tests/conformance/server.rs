//! One RabbitMQ for all cases of this binary, which some of them restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::task::spawn_blocking;
use xtask::brokers::rabbitmq::{RabbitMq, Settings};

/// Longer than any case keeps a record that it means to settle.
pub(crate) const CONSUMER_TIMEOUT: Duration = Duration::from_secs(20);

/// A RabbitMQ of this process's own; it ends with the process.
pub(crate) struct Server {
    rabbit: RabbitMq,
    /// Read by cases that run, written by one that restarts the server.
    running: Arc<RwLock<()>>,
}

impl Server {
    /// The server, started by whoever asks first.
    pub(crate) async fn get() -> &'static Server {
        static SERVER: OnceCell<Server> = OnceCell::const_new();
        SERVER
            .get_or_init(async || {
                let settings = Settings { consumer_timeout: Some(CONSUMER_TIMEOUT), ..Settings::default() };
                let rabbit = spawn_blocking(move || RabbitMq::launch(&settings)).await.unwrap().unwrap();
                Server { rabbit, running: Arc::default() }
            })
            .await
    }

    pub(crate) fn url(&self) -> &str {
        self.rabbit.url()
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url().split_once('@').unwrap().1.split_once('/').unwrap().0
    }

    /// While this is kept, the server is not restarted.
    pub(crate) async fn running(&self) -> OwnedRwLockReadGuard<()> {
        self.running.clone().read_owned().await
    }

    /// While this is kept, no other case runs.
    pub(crate) async fn alone(&self) -> OwnedRwLockWriteGuard<()> {
        self.running.clone().write_owned().await
    }

    /// Runs `rabbitmqctl`.
    pub(crate) async fn ctl(&'static self, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            self.rabbit.ctl(&arguments)
        };
        spawn_blocking(run).await.unwrap().unwrap()
    }

    /// Stops the server in good order and starts it again: all of RabbitMQ, in the same Erlang machine.
    pub(crate) async fn restart(&'static self) {
        self.ctl(&["eval", "rabbit:stop(), rabbit:start()."]).await;
    }
}
