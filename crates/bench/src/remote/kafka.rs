//! What is on Kafka, by its own offsets.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::ground::Scale;

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts the deliveries' channel, or the offsets committed on `events`: there are more offsets than records where
/// transactions end.
pub(super) struct KafkaScale {
    client: BaseConsumer,
    events: String,
    deliveries: String,
    committed: bool,
}

impl KafkaScale {
    pub(super) fn new(address: &str, prefix: &str, committed: bool) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", address)
            // The router's, whose commits are asked for; it is never joined.
            .set("group.id", format!("{prefix}router"))
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5")
            .set("isolation.level", "read_committed");
        let (events, deliveries) = (format!("{prefix}events"), format!("{prefix}deliver.crm"));
        Ok(Self { client: BaseConsumer::from_config(&config)?, events, deliveries, committed })
    }
}

impl Scale for KafkaScale {
    fn count(&mut self) -> anyhow::Result<u64> {
        let topic = if self.committed { &self.events } else { &self.deliveries };
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(topic, 0, PARTITIONS - 1);
        let answered = if self.committed {
            self.client.committed_offsets(asked, PATIENCE)?
        } else {
            asked.set_all_offsets(Offset::End)?;
            self.client.offsets_for_times(asked, PATIENCE)?
        };
        let offset = |offset| if let Offset::Offset(offset) = offset { offset as u64 } else { 0 };
        Ok(answered.elements().iter().map(|element| offset(element.offset())).sum())
    }

    fn read(&mut self, _: u64, each: &mut dyn FnMut(Bytes) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            all.add_partition_offset(&self.deliveries, partition, Offset::Beginning)?;
        }
        self.client.assign(&all)?;
        let mut ended = 0;
        while ended < PARTITIONS {
            match self.client.poll(PATIENCE).context("a channel that is not read to its end")? {
                Ok(message) => each(Bytes::copy_from_slice(message.payload().unwrap_or_default()))?,
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
