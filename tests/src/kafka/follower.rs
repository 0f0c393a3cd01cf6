//! Reads a topic from its beginning as a consumer of committed records does, without a group.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use trunkline_core::{DeadLetter, Delivery};

use crate::Tag;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for the next record.
const PAUSE: Duration = Duration::from_millis(50);
/// How long to go on reading.
const LONGEST: Duration = Duration::from_secs(1);

/// A record as it stands on the broker.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its partition.
    pub partition: i32,
    /// When it was made, in milliseconds since 1970.
    pub time: i64,
    /// Its key.
    pub key: Bytes,
    /// Its value; `None` where it is null.
    pub value: Option<Bytes>,
    /// Its headers with UTF-8 values.
    pub headers: Vec<(String, String)>,
}

/// Reads on whenever it is asked.
pub struct Follower {
    consumer: BaseConsumer,
    partitions: usize,
    ended: BTreeSet<i32>,
}

impl Follower {
    /// Stands at the first record of each partition. The topic must be there.
    pub fn of(address: &str, topic: &str) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", address)
            .set("group.id", "witness")
            .set("enable.auto.commit", "false");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true");
        let consumer: BaseConsumer = config.create().unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let partitions = metadata.topics()[0].partitions().len();
        assert!(partitions > 0, "{topic} is not there");
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition as i32, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        Self { consumer, partitions, ended: BTreeSet::new() }
    }

    /// What was committed since it was asked before, in the order of each partition; not all, where more comes all the
    /// time.
    pub fn read(&mut self) -> Vec<Stored> {
        let (began, mut read) = (Instant::now(), Vec::new());
        while began.elapsed() < LONGEST
            && let Some(news) = self.consumer.poll(PAUSE)
        {
            read.extend(take(&mut self.ended, news));
        }
        read
    }

    /// All from the first record on to the last one, of a topic that nobody writes to any more.
    pub fn read_to_end(mut self) -> Vec<Stored> {
        let (began, mut read) = (Instant::now(), Vec::new());
        while self.ended.len() < self.partitions {
            assert!(began.elapsed() < PATIENCE, "no end of {} partitions", self.partitions);
            if let Some(news) = self.consumer.poll(PAUSE) {
                read.extend(take(&mut self.ended, news));
            }
        }
        read
    }
}

fn take(ended: &mut BTreeSet<i32>, news: KafkaResult<BorrowedMessage<'_>>) -> Option<Stored> {
    match news {
        Ok(message) => return Some(stored(&message)),
        Err(KafkaError::PartitionEOF(partition)) => {
            ended.insert(partition);
        }
        // A broker that is away comes back; whoever waits for records has a deadline.
        Err(error) => println!("reading: {error}"),
    }
    None
}

fn stored(message: &BorrowedMessage<'_>) -> Stored {
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or_default().to_vec()).ok();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Stored {
        partition: message.partition(),
        time: message.timestamp().to_millis().unwrap_or_default(),
        key: Bytes::copy_from_slice(message.key().unwrap_or_default()),
        value: message.payload().map(Bytes::copy_from_slice),
        headers: headers.filter_map(|header| Some((header.key.to_owned(), text(header.value)?))).collect(),
    }
}

impl Stored {
    /// The tag of the event in a record of `deliver.*`.
    pub fn delivered(&self) -> Tag {
        let delivery = Delivery::decode(self.value.clone().unwrap()).unwrap();
        Tag::parse(delivery.event.id()).unwrap_or_else(|| panic!("no producer made {}", delivery.event.id()))
    }

    /// The dead letter in a record of `dead.*`.
    pub fn dead_letter(&self) -> DeadLetter {
        DeadLetter::decode(self.value.clone().unwrap()).unwrap()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| &**value)
    }
}
