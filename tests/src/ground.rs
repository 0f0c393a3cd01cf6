//! What processes share: a broker and a store of the run's, with a prefix and a database of a test's own.

use std::process::Command;

use xtask::brokers::{self, BrokersError, Shared};

/// The brokers that services can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Apache Kafka.
    Kafka,
    /// RabbitMQ.
    RabbitMq,
}

/// A prefix on a shared broker, and a database of its own on the shared PostgreSQL; the database is dropped with it.
pub struct Ground {
    /// What stands behind `broker:`.
    pub broker: String,
    /// What every channel begins with.
    pub prefix: String,
    /// The store's address.
    pub store: String,
    server: String,
    database: String,
}

impl Ground {
    /// A new one; none where the run is without brokers, which is then said in its output.
    pub async fn new(engine: Engine, case: &str) -> Option<Self> {
        let case = case.to_owned();
        tokio::task::spawn_blocking(move || Self::make(engine, &case)).await.unwrap()
    }

    /// As [`Ground::new`], on a broker of the test's own: `broker` is what stands behind `broker:`.
    pub async fn on(broker: impl Into<String>, case: &str) -> Option<Self> {
        let (broker, case) = (broker.into(), case.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            Some(Self::beside(&brokers::shared_or_skip(&case).unwrap_or_else(refused)?, broker))
        });
        made.await.unwrap()
    }

    /// Where the broker listens, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        let (_, rest) = self.broker.split_once("127.0.0.1:").expect("the broker is on this machine");
        let port = rest.split(|byte: char| !byte.is_ascii_digit()).next().unwrap_or_default();
        format!("127.0.0.1:{port}")
    }

    fn make(engine: Engine, case: &str) -> Option<Self> {
        let shared = brokers::shared_or_skip(case).unwrap_or_else(refused)?;
        let broker = match engine {
            // A killed consumer is missed as soon as a cluster permits.
            Engine::Kafka => format!(
                "{{ url: \"{}\", properties: {{ session.timeout.ms: 6000 }} }}",
                shared.kafka().unwrap_or_else(refused).url()
            ),
            Engine::RabbitMq => format!("\"{}\"", shared.rabbitmq().unwrap_or_else(refused).url()),
        };
        Some(Self::beside(&shared, broker))
    }

    /// A database of the shared PostgreSQL for what is on this broker.
    fn beside(shared: &Shared, broker: String) -> Self {
        let server = shared.postgres().unwrap_or_else(refused).url;
        let name = format!("t{:08x}", rand::random::<u32>());
        let database = format!("trunkline_{name}");
        psql(&server, &format!("CREATE DATABASE {database}"));
        let (base, _) = server.rsplit_once('/').expect("a PostgreSQL address names a database");
        Self { broker, prefix: format!("{name}."), store: format!("{base}/{database}"), server, database }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        psql(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database));
    }
}

fn refused<T>(error: BrokersError) -> T {
    panic!("{error}")
}

/// Runs one statement with PostgreSQL's own client.
fn psql(server: &str, statement: &str) {
    let output = Command::new("psql").args([server, "-v", "ON_ERROR_STOP=1", "-qc", statement]).output();
    let output = output.expect("psql, of PostgreSQL's client package, is not there");
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
}
