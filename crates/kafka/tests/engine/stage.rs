//! A corner of the shared Kafka for one test.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use tokio::time::timeout;
use trunkline_broker::{
    Broker, ChannelName, ChannelSpec, Ensure, GroupName, Intake, Intaken, Keep, Outgoing, Received, Settler,
    Start,
};
use trunkline_kafka::{KafkaBroker, Options};
use xtask::brokers::SharedKafka;

pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) struct Stage {
    pub(crate) kafka: SharedKafka,
    pub(crate) prefix: String,
}

impl Stage {
    /// `None` where the run is without brokers.
    pub(crate) fn set(case: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let kafka = xtask::brokers::shared_or_skip(&format!("kafka::{case}")).unwrap()?.kafka().unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Some(Self { kafka, prefix: format!("engine-{}-{number}.", std::process::id()) })
    }

    pub(crate) fn options(&self, client: &str) -> Options {
        Options {
            session_timeout: Duration::from_secs(6),
            revoke_grace: Duration::from_secs(1),
            commit_interval: Duration::from_millis(50),
            retention_interval: Duration::from_millis(200),
            ..Options::new(&self.kafka.addresses.plain, &self.prefix, client)
        }
    }

    pub(crate) async fn broker(&self, client: &str) -> KafkaBroker {
        KafkaBroker::connect(self.options(client)).await.unwrap()
    }

    /// A way to the cluster beside the engine.
    pub(crate) fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.kafka.addresses.plain).create().unwrap()
    }
}

pub(crate) fn admin_options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)))
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).unwrap()
}

pub(crate) fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

pub(crate) fn spec(name: &str, partitions: u16, groups: &[&str]) -> ChannelSpec {
    ChannelSpec {
        name: channel(name),
        partitions,
        groups: groups.iter().map(|name| group(name)).collect(),
        keep: Keep::UntilSettled,
        max_record: 4096,
    }
}

pub(crate) async fn ensure(broker: &KafkaBroker, spec: &ChannelSpec) {
    broker.ensure(std::slice::from_ref(spec), Ensure::Create).await.unwrap();
}

/// One record for each number, all of one key.
pub(crate) fn records(name: &str, numbers: std::ops::Range<u32>) -> Vec<Outgoing> {
    let record = |number: u32| Outgoing::new(channel(name), "key".into(), number.to_string().into());
    numbers.map(record).collect()
}

pub(crate) struct Consumer {
    pub(crate) intake: Box<dyn Intake>,
    pub(crate) settler: std::sync::Arc<dyn Settler>,
}

impl Consumer {
    pub(crate) async fn join(broker: &KafkaBroker, name: &str, of: &str) -> Self {
        let (intake, settler) = broker.consume(&[channel(name)], &group(of), Start::Oldest).await.unwrap();
        Self { intake, settler }
    }

    /// Records until there are so many.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Received> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let news = timeout(PATIENCE, self.intake.next()).await;
            match news.unwrap_or_else(|_| panic!("only {} of {count} records came", taken.len())).unwrap() {
                Intaken::Batch(batch) => taken.extend(batch),
                Intaken::Assigned(_) | Intaken::Revoking(..) | Intaken::Lost(_) => {}
            }
        }
        taken
    }

    pub(crate) async fn settle(&self, records: Vec<Received>) {
        let receipts = records.into_iter().map(|record| record.receipt).collect();
        self.settler.hand_over(receipts, Vec::new()).await.unwrap();
    }
}

pub(crate) fn texts(records: &[Received]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.value.to_vec()).unwrap()).collect()
}
