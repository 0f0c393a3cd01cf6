//! What is on RabbitMQ, by the depth of its queues.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::ground::Scale;

const PARTITIONS: u16 = 4;
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts the deliveries' queues.
pub(super) struct RabbitScale<'a> {
    runtime: &'a Runtime,
    /// Kept open.
    _connection: Connection,
    channel: Channel,
    queues: Vec<ShortString>,
}

impl<'a> RabbitScale<'a> {
    pub(super) fn new(url: &str, prefix: &str, runtime: &'a Runtime) -> anyhow::Result<Self> {
        let queue = |partition| ShortString::try_new(format!("{prefix}deliver.crm:dispatcher:{partition}"));
        let queues = (0..PARTITIONS).map(|partition| queue(partition).context("a name that is too long"));
        let queues = queues.collect::<Result<_, _>>()?;
        runtime.block_on(async {
            let connection = Connection::connect(url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            Ok(Self { runtime, _connection: connection, channel, queues })
        })
    }

    async fn depth(&self, queue: &ShortString) -> anyhow::Result<u64> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(queue.clone(), passive, FieldTable::default()).await?;
        Ok(u64::from(queue.message_count()))
    }
}

impl Scale for RabbitScale<'_> {
    fn count(&mut self) -> anyhow::Result<u64> {
        self.runtime.block_on(async {
            let mut count = 0;
            for queue in &self.queues {
                count += self.depth(queue).await?;
            }
            Ok(count)
        })
    }

    fn read(&mut self, total: u64, each: &mut dyn FnMut(Bytes) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let count = self.count()?;
        ensure!(count == total, "{count} records are in the queues, not {total}");
        self.runtime.block_on(async {
            for queue in &self.queues {
                let depth = self.depth(queue).await?;
                let unsettled = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
                let consuming = self.channel.basic_consume(
                    queue.clone(),
                    ShortString::default(),
                    unsettled,
                    FieldTable::default(),
                );
                let mut deliveries = consuming.await?;
                for _ in 0..depth {
                    let delivery =
                        timeout(PATIENCE, deliveries.next()).await?.context("the consumer ended")??;
                    each(Bytes::from(delivery.data))?;
                }
            }
            Ok(())
        })
    }
}
