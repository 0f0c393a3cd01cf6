//! `kafka-pass`: one thread with a consumer and an idempotent producer; offsets are stored up to the first record that is
//! not confirmed.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfig, FromClientConfigAndContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::Pass;

/// Records between two looks at confirmations.
const RUN: usize = 500;
/// Records between two times that offsets are stored.
const STORING: usize = 5_000;
const PAUSE: Duration = Duration::from_millis(5);
/// Bits of a tag that hold the offset; the partition is above them.
const OFFSET_BITS: u32 = 48;

/// Copies until `ended`.
///
/// # Errors
/// Kafka's.
pub fn run(pass: &Pass, ended: &AtomicBool) -> anyhow::Result<()> {
    let (from, to) = (format!("{}events", pass.prefix), format!("{}deliver.crm", pass.prefix));
    let consumer = BaseConsumer::from_config(&consumer(pass))?;
    consumer.subscribe(&[&from])?;
    let context = Confirmed::default();
    let producer: BaseProducer<Confirmed> = BaseProducer::from_config_and_context(&producer(pass), context)?;
    let (mut stored, mut copied) = (0, 0);
    while !ended.load(Ordering::Acquire) {
        let mut timeout = PAUSE;
        for _ in 0..RUN {
            let Some(message) = consumer.poll(timeout) else { break };
            let message = message?;
            timeout = Duration::ZERO;
            producer.context().await_one(message.partition(), message.offset());
            send(&producer, &to, &message)?;
            copied += 1;
        }
        producer.poll(Duration::ZERO);
        if copied - stored >= STORING || (timeout == PAUSE && copied > 0) {
            producer.context().store(&consumer, &from)?;
            stored = copied;
        }
    }
    Ok(())
}

/// What every copying consumer is told.
pub(super) fn consumer(pass: &Pass) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &pass.address)
        .set("group.id", format!("{}router", pass.prefix))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "250")
        .set("enable.auto.offset.store", "false")
        // Its default of a second starves a fast consumer.
        .set("fetch.queue.backoff.ms", "5")
        .set("isolation.level", "read_committed");
    config
}

/// What every copying producer is told.
pub(super) fn producer(pass: &Pass) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &pass.address)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", "4200000")
        .set("compression.type", &pass.compression);
    config
}

fn send(producer: &BaseProducer<Confirmed>, to: &str, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
    let tag = (message.partition() as usize) << OFFSET_BITS | message.offset() as usize;
    let mut record = BaseRecord::with_opaque_to(to, tag);
    record.key = message.key();
    record.payload = message.payload();
    record.headers = message.headers().map(BorrowedHeaders::detach);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                record = refused;
                producer.poll(PAUSE);
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// What is under way, by the partition it came from.
#[derive(Debug, Default)]
struct Confirmed(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    partitions: HashMap<i32, Window>,
    failed: Option<RDKafkaErrorCode>,
}

/// The offsets from `first` on, and which of them are confirmed.
#[derive(Debug)]
struct Window {
    first: i64,
    confirmed: VecDeque<bool>,
}

impl Confirmed {
    fn await_one(&self, partition: i32, offset: i64) {
        let mut state = self.lock();
        let new = || Window { first: offset, confirmed: VecDeque::new() };
        state.partitions.entry(partition).or_insert_with(new).confirmed.push_back(false);
    }

    fn store(&self, consumer: &BaseConsumer, topic: &str) -> anyhow::Result<()> {
        let mut state = self.lock();
        if let Some(code) = state.failed {
            bail!("a record was not confirmed: {code}");
        }
        for (partition, window) in &mut state.partitions {
            let done = window.confirmed.iter().take_while(|confirmed| **confirmed).count();
            if done > 0 {
                window.confirmed.drain(..done);
                window.first += done as i64;
                consumer.store_offset(topic, *partition, window.first - 1).context("storing an offset")?;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Confirmed {}

impl ProducerContext for Confirmed {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let (partition, offset) = (tag >> OFFSET_BITS, tag & ((1 << OFFSET_BITS) - 1));
        let mut state = self.lock();
        if let Err((error, _)) = result {
            state.failed = error.rdkafka_error_code().or(Some(RDKafkaErrorCode::Fail));
        }
        let Some(window) = state.partitions.get_mut(&(partition as i32)) else { return };
        if let Some(place) = window.confirmed.get_mut((offset as i64 - window.first) as usize) {
            *place = true;
        }
    }
}
