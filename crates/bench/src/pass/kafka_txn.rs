//! `kafka-pass-txn`: the same in transactions, one commit per 100 ms and lane. A lane is a thread with a consumer of some
//! of the partitions and a transactional producer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::Pass;
use super::kafka::{consumer, producer};

const PARTITIONS: i32 = 4;
const COMMIT: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(30);
/// Records between two looks at confirmations.
const RUN: usize = 500;

/// Copies until `ended`.
///
/// # Errors
/// Kafka's.
pub fn run(pass: &Pass, ended: &AtomicBool) -> anyhow::Result<()> {
    std::thread::scope(|scope| {
        let lanes: Vec<_> =
            (0..pass.lanes).map(|number| scope.spawn(move || lane(pass, number, ended))).collect();
        lanes
            .into_iter()
            .try_for_each(|lane| lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn lane(pass: &Pass, number: i32, ended: &AtomicBool) -> anyhow::Result<()> {
    let (from, to) = (format!("{}events", pass.prefix), format!("{}deliver.crm", pass.prefix));
    let consumer = BaseConsumer::from_config(consumer(pass).set("enable.auto.commit", "false"))?;
    let id = format!("{}pass-{number}", pass.prefix);
    let producer: BaseProducer = BaseProducer::from_config(
        producer(pass)
            .set("transactional.id", id)
            // What is not sent yet when a transaction ends is waited for.
            .set("queue.buffering.max.messages", "10000"),
    )?;
    producer.init_transactions(PATIENCE)?;
    let mut mine = TopicPartitionList::new();
    for partition in (0..PARTITIONS).filter(|partition| partition % pass.lanes == number) {
        mine.add_partition_offset(&from, partition, Offset::Beginning)?;
    }
    consumer.assign(&mine)?;
    while !ended.load(Ordering::Acquire) {
        producer.begin_transaction()?;
        let begun = Instant::now();
        while begun.elapsed() < COMMIT {
            copy_some(&consumer, &producer, &to)?;
        }
        let positions = positions(&consumer)?;
        if positions.count() > 0 {
            let member = consumer.group_metadata().context("a consumer with a group has its metadata")?;
            producer.send_offsets_to_transaction(&positions, &member, PATIENCE)?;
        }
        producer.commit_transaction(PATIENCE)?;
    }
    Ok(())
}

fn copy_some(consumer: &BaseConsumer, producer: &BaseProducer, to: &str) -> anyhow::Result<()> {
    let mut timeout = PAUSE;
    for _ in 0..RUN {
        let Some(message) = consumer.poll(timeout) else { break };
        let message = message?;
        timeout = Duration::ZERO;
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(to);
        record.key = message.key();
        record.payload = message.payload();
        record.headers = message.headers().map(BorrowedHeaders::detach);
        while let Err((error, refused)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = refused;
            producer.poll(PAUSE);
        }
    }
    producer.poll(Duration::ZERO);
    Ok(())
}

/// Behind the last record taken of each partition.
fn positions(consumer: &BaseConsumer) -> anyhow::Result<TopicPartitionList> {
    let mut positions = TopicPartitionList::new();
    for element in consumer.position()?.elements() {
        if let Offset::Offset(_) = element.offset() {
            positions.add_partition_offset(element.topic(), element.partition(), element.offset())?;
        }
    }
    Ok(positions)
}
