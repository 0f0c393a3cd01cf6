//! Producers that put events straight on the broker, as any client of Kafka may.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

use crate::{Ledger, Tag};

/// How often what was confirmed is noted.
const NOTE: Duration = Duration::from_millis(50);

/// How fast events come.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Events a second.
    pub events: u32,
    /// Ordering keys.
    pub keys: u32,
    /// Whose events they are: each stream of a test is another producer.
    pub producer: u32,
}

/// Tagged events on their way at a steady rate.
pub struct Stream {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Stream {
    /// Starts publishing to a topic.
    pub fn start(address: &str, topic: &str, ledger: &Arc<Ledger>, rate: Rate) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let confirmed = Confirmed { tags: Mutex::default() };
        let producer = config(address).create_with_context(confirmed).unwrap();
        let thread = {
            let (topic, ledger, stop) = (topic.to_owned(), ledger.clone(), stop.clone());
            std::thread::spawn(move || publish(&producer, &topic, &ledger, &stop, rate))
        };
        Self { thread, stop }
    }

    /// Ends, after everything sent was confirmed or has failed.
    pub async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(|| self.thread.join().unwrap()).await.unwrap();
    }
}

/// Puts any bytes on the broker, one record at a time.
pub struct Foreign(BaseProducer);

impl Foreign {
    /// Connects when it has something to say.
    pub fn to(address: &str) -> Self {
        Self(config(address).create().unwrap())
    }

    /// Hands a record to the client; [`Foreign::flush`] waits for it.
    pub fn put(&self, topic: &str, key: &str, value: Option<&[u8]>, headers: &[(&str, &str)]) {
        let mut record = BaseRecord::<str, [u8]>::to(topic).key(key);
        record.payload = value;
        let all = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        self.0.send(record.headers(all)).unwrap_or_else(|(error, _)| panic!("{error}"));
        self.0.poll(Duration::ZERO);
    }

    /// Waits until all are stored.
    pub fn flush(&self) {
        self.0.flush(Duration::from_secs(30)).unwrap();
    }
}

fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("partitioner", "murmur2_random").set("linger.ms", "5");
    config.set("enable.idempotence", "true").set("message.timeout.ms", "120000");
    config.set("reconnect.backoff.max.ms", "500").set("message.max.bytes", "8388608");
    config
}

/// Collects the tags of what the broker confirmed.
struct Confirmed {
    tags: Mutex<Vec<Tag>>,
}

impl ClientContext for Confirmed {}

impl ProducerContext for Confirmed {
    type DeliveryOpaque = Box<Tag>;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: Box<Tag>) {
        if result.is_ok() {
            self.tags.lock().unwrap().push(*tag);
        }
    }
}

fn publish(
    producer: &ThreadedProducer<Confirmed>,
    topic: &str,
    ledger: &Ledger,
    stop: &AtomicBool,
    rate: Rate,
) {
    let note = || {
        let tags = std::mem::take(&mut *producer.context().tags.lock().unwrap());
        if !tags.is_empty() {
            ledger.acked_all(&tags);
        }
    };
    let (began, mut noted, mut sent) = (Instant::now(), Instant::now(), 0_u32);
    while !stop.load(Ordering::Relaxed) {
        let due = (began.elapsed().as_secs_f64() * f64::from(rate.events)) as u32;
        while sent < due {
            let tag = Tag { producer: rate.producer, key: sent % rate.keys, seq: sent / rate.keys };
            ledger.sending(tag);
            send(producer, topic, tag);
            sent += 1;
        }
        if noted.elapsed() >= NOTE {
            note();
            noted = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // What is not confirmed by then is not acknowledged, which the oracle minds.
    drop(producer.flush(Duration::from_secs(130)));
    note();
}

fn send(producer: &ThreadedProducer<Confirmed>, topic: &str, tag: Tag) {
    let (event, key) = (tag.event().to_string(), format!("{}/{}", tag.producer, tag.key));
    let kind = Header { key: "content-type", value: Some("application/cloudevents+json") };
    let mut record = BaseRecord::with_opaque_to(topic, Box::new(tag))
        .key(&key)
        .payload(&event)
        .headers(OwnedHeaders::new().insert(kind));
    // A broker that is away for long fills the client's queue.
    while let Err((_, refused)) = producer.send(record) {
        record = refused;
        std::thread::sleep(Duration::from_millis(10));
    }
}
