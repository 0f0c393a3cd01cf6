//! Looking at a channel without a group.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use trunkline_broker::{ConsumeError, Observer, Position, Receipt, Received, Start};

use crate::catalog::Channel;
use crate::context::Common;
use crate::core::Core;
use crate::error::KafkaFailure;
use crate::names;
use crate::properties;
use crate::raw::Blocks;

/// Records of one batch at most.
const BATCH_RECORDS: usize = 256;
/// Batches read ahead.
const AHEAD: usize = 2;
const POLL: Duration = Duration::from_millis(100);

/// Reads on by itself; settles nothing.
#[derive(Debug)]
pub(crate) struct KafkaObserver {
    batches: mpsc::Receiver<Vec<Received>>,
}

impl KafkaObserver {
    /// Begins to read; what is stored from now on is seen. Blocks.
    pub(crate) fn start(core: &Core, channel: &Arc<Channel>, from: Start) -> Result<Self, KafkaFailure> {
        let topic = &*channel.topic;
        let failure = |cause| core.asker.failure(format!("show topic `{topic}`"), cause);
        let config = properties::looker(&core.options, &names::looker_group(&core.options.prefix));
        let made = BaseConsumer::from_config_and_context(&config, core.common.clone());
        let consumer: BaseConsumer<Common> = made.map_err(failure)?;
        let offsets = match from {
            Start::Oldest => core.asker.begins(topic, channel.partitions)?,
            Start::Newest => core.asker.ends(topic, channel.partitions)?,
        };
        let mut list = TopicPartitionList::new();
        for (partition, offset) in (0..).zip(offsets) {
            list.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(failure)?;
        }
        consumer.assign(&list).map_err(failure)?;
        let (sender, batches) = mpsc::channel(AHEAD);
        let channel = channel.clone();
        let run = move || read(&consumer, &channel, &sender);
        let spawned = std::thread::Builder::new().name("kafka-observer".to_owned()).spawn(run);
        spawned.map_err(|error| failure(KafkaError::ClientCreation(error.to_string())))?;
        Ok(Self { batches })
    }
}

/// Reads until nobody looks any more. Nobody waits for an observer, so it may stop polling while it is not read.
fn read(consumer: &BaseConsumer<Common>, channel: &Channel, sender: &mpsc::Sender<Vec<Received>>) {
    let mut blocks = Blocks::default();
    while !sender.is_closed() {
        let mut batch = Vec::new();
        let mut timeout = POLL;
        while batch.len() < BATCH_RECORDS {
            match consumer.poll(timeout) {
                Some(Ok(message)) => {
                    let raw = blocks.copy(&message);
                    let stored =
                        message.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok());
                    batch.push(Received {
                        channel: channel.name.clone(),
                        position: Position {
                            partition: u16::try_from(message.partition()).unwrap_or(u16::MAX),
                            offset: message.offset(),
                        },
                        key: raw.key(),
                        headers: raw.headers(),
                        value: raw.value(),
                        stored: UNIX_EPOCH + Duration::from_millis(stored.unwrap_or(0)),
                        redelivered: 0,
                        receipt: Receipt::observed(),
                    });
                    timeout = Duration::ZERO;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => tracing::debug!(%error, channel = %channel.name, "observing"),
                None => break,
            }
        }
        if !batch.is_empty() && sender.blocking_send(batch).is_err() {
            return;
        }
    }
}

#[async_trait]
impl Observer for KafkaObserver {
    async fn next(&mut self) -> Result<Vec<Received>, ConsumeError> {
        self.batches.recv().await.ok_or_else(|| ConsumeError::Fatal(KafkaFailure::Closed.into()))
    }
}
