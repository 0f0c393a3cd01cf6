//! The broker of a measurement, and the store that the router asks for.

use bytes::Bytes;
use tokio::runtime::Runtime;
use xtask::brokers::Kind;
use xtask::brokers::kafka::{self, Kafka};
use xtask::brokers::postgres::{self, Postgres};
use xtask::brokers::rabbitmq::{self, RabbitMq};

use super::Engine;
use super::kafka::KafkaScale;
use super::rabbit::RabbitScale;

/// Servers that the environment names, or private ones, which end with this.
pub(super) struct Ground {
    engine: Engine,
    address: String,
    store: String,
    _own: (Option<Kafka>, Option<RabbitMq>, Option<Postgres>),
}

/// Counts and reads what has come out of a run, without the product.
pub(super) trait Scale {
    /// How many records have come so far.
    fn count(&mut self) -> anyhow::Result<u64>;
    /// Reads all of them, each partition in its order; `total` are expected, all there are come.
    fn read(&mut self, total: u64, each: &mut dyn FnMut(Bytes) -> anyhow::Result<()>) -> anyhow::Result<()>;
}

impl Ground {
    pub(super) fn find(engine: Engine) -> anyhow::Result<Self> {
        let (mut kafka, mut rabbit, mut postgres) = (None, None, None);
        let address = match engine {
            Engine::Kafka => match given(Kind::Kafka) {
                Some(address) => address.trim_start_matches("kafka://").to_owned(),
                None => kafka.insert(launch_kafka()?).address().to_owned(),
            },
            Engine::Rabbitmq => match given(Kind::RabbitMq) {
                Some(url) => url,
                None => rabbit.insert(RabbitMq::launch(&rabbitmq::Settings::default())?).url().to_owned(),
            },
        };
        let store = match given(Kind::Postgres) {
            Some(url) => url,
            None => postgres.insert(Postgres::launch(&postgres::Settings::default())?).url().to_owned(),
        };
        Ok(Self { engine, address, store, _own: (kafka, rabbit, postgres) })
    }

    /// As clients of the broker want it.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// As the configuration has it.
    pub(super) fn broker(&self, compression: &str) -> String {
        match self.engine {
            Engine::Kafka => format!(
                "{{ url: \"kafka://{}\", properties: {{ compression.type: {compression} }} }}",
                self.address
            ),
            Engine::Rabbitmq => format!("\"{}\"", self.address),
        }
    }

    pub(super) fn store(&self) -> &str {
        &self.store
    }

    /// What has come out of a run. `committed`: by what was committed in transactions.
    pub(super) fn scale<'a>(
        &self,
        prefix: &str,
        committed: bool,
        runtime: &'a Runtime,
    ) -> anyhow::Result<Box<dyn Scale + 'a>> {
        Ok(match self.engine {
            Engine::Kafka => Box::new(KafkaScale::new(&self.address, prefix, committed)?),
            Engine::Rabbitmq => Box::new(RabbitScale::new(&self.address, prefix, runtime)?),
        })
    }
}

fn given(kind: Kind) -> Option<String> {
    std::env::var(kind.variable()).ok().filter(|value| !value.is_empty())
}

fn launch_kafka() -> anyhow::Result<Kafka> {
    // A heap as small as tests have would measure its collector; removed channels of earlier runs are to go at once.
    let settings = kafka::Settings { heap: 1024, quick: false, ..kafka::Settings::default() };
    Ok(Kafka::launch(&settings.property("log.segment.delete.delay.ms", "100"))?)
}
