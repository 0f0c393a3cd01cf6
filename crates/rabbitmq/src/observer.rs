//! Looking at a channel without taking anything away.
//!
//! An observer's queue must not be bound where records are published to: a record that only it gets would not be returned, and
//! count as stored. Publishers therefore send a further copy to the channel's own exchange while somebody looks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use trunkline_broker::{ConsumeError, Observer, Position, Receipt, Received};

use crate::catalog::Channel;
use crate::codec::{decode, short, text};
use crate::core::Core;
use crate::error::RabbitFailure;

/// Records that wait for a slow observer; older ones make room.
const WAITING: i64 = 10_000;
const OPENING: Duration = Duration::from_secs(10);
/// How long other processes get to hear that somebody looks.
const HEARD: Duration = Duration::from_millis(50);
const BATCH: usize = 1000;

/// Looks at what is published from now on.
pub(crate) struct RabbitObserver {
    core: Arc<Core>,
    channel: Arc<Channel>,
    /// Empty after the connection broke, until it is opened again.
    consumer: Option<Consumer>,
}

impl RabbitObserver {
    pub(crate) async fn open(core: Arc<Core>, channel: Arc<Channel>) -> Result<Self, RabbitFailure> {
        let consumer = consume(&core, &channel).await?;
        core.members.observe(&channel.name);
        let observer = Self { core, channel, consumer: Some(consumer) };
        tokio::time::sleep(HEARD).await;
        Ok(observer)
    }

    fn received(&self, delivery: Delivery) -> Received {
        let partition = delivery.routing_key.as_str().parse().unwrap_or(0);
        let stored = decode(delivery);
        let offset = stored.number.unwrap_or_else(|| self.core.number(stored.published));
        Received {
            channel: self.channel.name.clone(),
            position: Position { partition, offset },
            key: stored.key,
            headers: stored.headers,
            value: stored.value,
            stored: stored.published,
            redelivered: 0,
            receipt: Receipt::observed(),
        }
    }
}

async fn consume(core: &Core, channel: &Channel) -> Result<Consumer, RabbitFailure> {
    let amqp = core.control.link.channel(Instant::now() + OPENING).await?;
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert(short("x-max-length"), AMQPValue::LongLongInt(WAITING));
    arguments.insert(short("x-overflow"), text("drop-head"));
    let queue = amqp.queue_declare("".into(), own, arguments).await?.name().clone();
    let none = FieldTable::default;
    let bind = QueueBindOptions::default();
    amqp.queue_bind(queue.clone(), channel.exchange.clone(), "".into(), bind, none()).await?;
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    Ok(amqp.basic_consume(queue, "".into(), options, none()).await?)
}

#[async_trait]
impl Observer for RabbitObserver {
    async fn next(&mut self) -> Result<Vec<Received>, ConsumeError> {
        loop {
            let closed = || ConsumeError::Fatal(RabbitFailure::Closed.into());
            if self.core.closing.is_cancelled() {
                return Err(closed());
            }
            let Some(consumer) = &mut self.consumer else {
                let opened = consume(&self.core, &self.channel).await;
                self.consumer = Some(opened.map_err(|error| ConsumeError::Fatal(error.into()))?);
                continue;
            };
            let delivery = tokio::select! {
                delivery = consumer.next() => delivery,
                () = self.core.closing.cancelled() => return Err(closed()),
            };
            let Some(Ok(first)) = delivery else {
                self.consumer = None;
                continue;
            };
            let mut deliveries = vec![first];
            while deliveries.len() < BATCH
                && let Some(Some(Ok(delivery))) = consumer.next().now_or_never()
            {
                deliveries.push(delivery);
            }
            return Ok(deliveries.into_iter().map(|delivery| self.received(delivery)).collect());
        }
    }
}

impl Drop for RabbitObserver {
    fn drop(&mut self) {
        self.core.members.unobserve(&self.channel.name);
    }
}
