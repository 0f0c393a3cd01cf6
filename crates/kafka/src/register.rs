//! The catalog's topic: read whole at the start and followed from then on, so that every process knows of every channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;
use trunkline_broker::ChannelName;

use crate::asker::Asker;
use crate::catalog::{Catalog, Channel};
use crate::context::Common;
use crate::error::KafkaFailure;
use crate::names;
use crate::options::Options;
use crate::properties;
use crate::publisher::{Publisher, Ready};

const POLL: Duration = Duration::from_millis(100);

/// The way to the catalog's topic.
#[derive(Debug)]
pub(crate) struct Register {
    options: Arc<Options>,
    asker: Arc<Asker>,
    publisher: Arc<Publisher>,
    pub(crate) catalog: Catalog,
    topic: Arc<str>,
    /// The topic is there, and its follower was told to begin.
    following: AtomicBool,
    /// Entries before this offset are in the catalog.
    read: watch::Sender<i64>,
    /// Told whenever the catalog changes.
    pub(crate) changed: watch::Sender<()>,
}

impl Register {
    /// Starts the thread that follows the topic.
    pub(crate) fn start(
        options: Arc<Options>,
        common: Common,
        asker: Arc<Asker>,
        publisher: Arc<Publisher>,
    ) -> KafkaResult<Arc<Self>> {
        let config = properties::looker(&options, &names::looker_group(&options.prefix));
        let consumer = BaseConsumer::from_config_and_context(&config, common)?;
        let topic = names::catalog_topic(&options.prefix).into();
        let register = Arc::new(Self {
            options,
            asker,
            publisher,
            catalog: Catalog::default(),
            topic,
            following: AtomicBool::new(false),
            read: watch::Sender::new(0),
            changed: watch::Sender::new(()),
        });
        let weak = Arc::downgrade(&register);
        let spawned = std::thread::Builder::new()
            .name("kafka-catalog".to_owned())
            .spawn(move || follow(&weak, &consumer));
        spawned.map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
        Ok(register)
    }

    /// Reads what others have written until now.
    pub(crate) async fn refresh(self: &Arc<Self>) -> Result<(), KafkaFailure> {
        let this = self.clone();
        let end = blocking(move || this.end()).await?;
        let mut read = self.read.subscribe();
        let caught_up = read.wait_for(|read| *read >= end);
        match tokio::time::timeout(self.options.request_timeout, caught_up).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(KafkaFailure::Closed),
            Err(_) => Err(KafkaFailure::Overdue("send the channels' catalog")),
        }
    }

    /// The end of the topic; 0 when it is not there.
    fn end(&self) -> Result<i64, KafkaFailure> {
        if !self.following.load(Ordering::Acquire) {
            if self.asker.partitions(&self.topic)?.is_none() {
                return Ok(0);
            }
            self.following.store(true, Ordering::Release);
        }
        Ok(self.asker.ends(&self.topic, 1)?.first().copied().unwrap_or(0).max(0))
    }

    /// Creates the topic when it is not there.
    pub(crate) async fn create(&self) -> Result<(), KafkaFailure> {
        if self.following.load(Ordering::Acquire) {
            return Ok(());
        }
        let settings = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.5")];
        self.asker.create(&[self.asker.new_topic(&self.topic, 1, &settings)]).await?;
        let (asker, topic) = (self.asker.clone(), self.topic.to_string());
        blocking(move || asker.await_leaders(&[topic])).await
    }

    /// Writes channels' entries and waits until they, and what others wrote before, are in the catalog. Entries that
    /// another process's entries add to are written again with both.
    pub(crate) async fn write(self: &Arc<Self>, channels: Vec<Channel>) -> Result<(), KafkaFailure> {
        let entries = channels.iter().map(|channel| (channel.name.clone(), Some(channel.write())));
        self.send(entries.collect()).await?;
        self.refresh().await?;
        let more = channels.iter().filter_map(|written| {
            let now = self.catalog.get(&written.name)?;
            (now.groups.len() > written.groups.len()).then(|| (now.name.clone(), Some(now.write())))
        });
        let more: Vec<_> = more.collect();
        if more.is_empty() {
            return Ok(());
        }
        self.send(more).await?;
        self.refresh().await
    }

    /// Takes a channel out of the catalog.
    pub(crate) async fn erase(self: &Arc<Self>, name: &ChannelName) -> Result<(), KafkaFailure> {
        self.send(vec![(name.clone(), None)]).await?;
        self.refresh().await
    }

    async fn send(&self, entries: Vec<(ChannelName, Option<Vec<u8>>)>) -> Result<(), KafkaFailure> {
        let ready = |(name, value): (ChannelName, Option<Vec<u8>>)| Ready {
            topic: self.topic.clone(),
            partition: Some(0),
            key: Bytes::from(name.to_string()),
            headers: Vec::new(),
            value: value.map(Bytes::from),
        };
        let batch: Vec<_> = entries.into_iter().map(ready).collect();
        match self.publisher.publish(&batch).await.first() {
            None => Ok(()),
            Some((_, code)) => Err(KafkaFailure::Unconfirmed(*code)),
        }
    }

    fn apply(&self, message: &BorrowedMessage<'_>) {
        let key = message.key().unwrap_or_default();
        match message.payload().map(|value| Channel::read(&self.options.prefix, key, value)) {
            Some(Ok(channel)) => {
                self.catalog.put(channel);
            }
            None => {
                let name = std::str::from_utf8(key).ok().and_then(|name| ChannelName::parse(name).ok());
                name.iter().for_each(|name| self.catalog.remove(name));
            }
            Some(Err(detail)) => {
                let failure = KafkaFailure::Catalog {
                    topic: self.topic.to_string(),
                    channel: String::from_utf8_lossy(key).into_owned(),
                    detail,
                };
                tracing::error!("{failure}; the channel is left out");
            }
        }
        self.read.send_replace(message.offset() + 1);
        self.changed.send_replace(());
    }
}

fn follow(weak: &Weak<Register>, consumer: &BaseConsumer<Common>) {
    let mut assigned = false;
    while let Some(register) = weak.upgrade() {
        if !assigned && register.following.load(Ordering::Acquire) {
            let mut list = TopicPartitionList::new();
            let placed = list.add_partition_offset(&register.topic, 0, Offset::Beginning);
            match placed.and_then(|()| consumer.assign(&list)) {
                Ok(()) => assigned = true,
                Err(error) => tracing::warn!(%error, "the channels' catalog can't be followed yet"),
            }
        }
        drop(register);
        // Only short while it waits to begin, since declaring the first channels waits for it.
        match consumer.poll(if assigned { POLL } else { POLL / 20 }) {
            Some(Ok(message)) => {
                if let Some(register) = weak.upgrade() {
                    register.apply(&message);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => tracing::debug!(%error, "following the channels' catalog"),
        }
    }
}

/// Runs something that blocks off the threads that serve everybody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KafkaFailure> + Send + 'static,
) -> Result<T, KafkaFailure> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(KafkaFailure::Closed))
}
