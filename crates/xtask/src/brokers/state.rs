//! What `up` wrote about the shared brokers, for every other process.

use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{BrokersError, Certificates, Server, folder, kafka, rabbitmq};

/// A kind of test broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Kafka,
    RabbitMq,
    Postgres,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Kafka, Kind::RabbitMq, Kind::Postgres];

    /// The environment variable that points tests at one that runs already.
    pub fn variable(self) -> &'static str {
        match self {
            Kind::Kafka => "TRUNKLINE_TEST_KAFKA",
            Kind::RabbitMq => "TRUNKLINE_TEST_RABBITMQ",
            Kind::Postgres => "TRUNKLINE_TEST_POSTGRES",
        }
    }

    /// Those that no environment variable names.
    pub fn ungiven() -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| kind.given().is_none()).collect()
    }

    /// What that variable says, unless it is empty.
    pub(crate) fn given(self) -> Option<String> {
        std::env::var(self.variable()).ok().filter(|value| !value.is_empty())
    }

    /// Lower case: for folders and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Kafka => "kafka",
            Kind::RabbitMq => "rabbitmq",
            Kind::Postgres => "postgres",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Kafka => "Kafka",
            Kind::RabbitMq => "RabbitMQ",
            Kind::Postgres => "PostgreSQL",
        })
    }
}

/// The shared brokers that `up` started.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) certificates: Option<Certificates>,
    pub(crate) kafka: Option<Entry<kafka::Addresses>>,
    pub(crate) rabbitmq: Option<Entry<rabbitmq::Addresses>>,
    pub(crate) postgres: Option<Entry<String>>,
}

/// One of them, with the addresses of its listeners.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry<A> {
    pub(crate) server: Server,
    pub(crate) addresses: A,
}

impl State {
    fn path() -> PathBuf {
        folder::brokers().join("state.json")
    }

    /// An empty one when nothing was started.
    pub(crate) fn load() -> Result<State, BrokersError> {
        let path = State::path();
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|source| BrokersError::State { path, source })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(BrokersError::file(path)(error)),
        }
    }

    /// Readers see the earlier file or this one, never a part.
    pub(crate) fn save(&self) -> Result<(), BrokersError> {
        let path = State::path();
        let fresh = path.with_extension("new");
        let bytes = serde_json::to_vec_pretty(self)
            .map_err(|source| BrokersError::State { path: path.clone(), source })?;
        fs::write(&fresh, bytes).map_err(BrokersError::file(&fresh))?;
        fs::rename(&fresh, &path).map_err(BrokersError::file(&path))
    }

    /// Keeps other processes from changing it until the returned file is dropped.
    pub(crate) fn lock() -> Result<File, BrokersError> {
        let path = State::path().with_extension("lock");
        if let Some(folder) = path.parent() {
            folder::create(folder)?;
        }
        let file = File::create(&path).map_err(BrokersError::file(&path))?;
        file.lock().map_err(BrokersError::file(&path))?;
        Ok(file)
    }

    pub(crate) fn server(&self, kind: Kind) -> Option<&Server> {
        match kind {
            Kind::Kafka => self.kafka.as_ref().map(|entry| &entry.server),
            Kind::RabbitMq => self.rabbitmq.as_ref().map(|entry| &entry.server),
            Kind::Postgres => self.postgres.as_ref().map(|entry| &entry.server),
        }
    }

    pub(crate) fn forget(&mut self, kind: Kind) {
        match kind {
            Kind::Kafka => self.kafka = None,
            Kind::RabbitMq => self.rabbitmq = None,
            Kind::Postgres => self.postgres = None,
        }
    }

    /// How a test reaches it: what its environment variable would say.
    pub(crate) fn url(&self, kind: Kind) -> Option<String> {
        match kind {
            Kind::Kafka => self.kafka.as_ref().map(|entry| entry.addresses.plain.clone()),
            Kind::RabbitMq => self.rabbitmq.as_ref().map(|entry| entry.addresses.url.clone()),
            Kind::Postgres => self.postgres.as_ref().map(|entry| entry.addresses.clone()),
        }
    }
}
