//! The producer, on a thread that only polls.
//!
//! Records are put into librdkafka's queue by whoever publishes them, which copies and never blocks; confirmations come
//! in on the thread. A batch costs one wake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use trunkline_broker::Headers;

use crate::confirm::{Confirmations, Delivering, Failures};
use crate::context::Common;
use crate::options::Options;
use crate::properties;

/// How long the thread polls at a time; a stop is noticed after it.
const POLL: Duration = Duration::from_millis(100);
/// Records put into the queue before other tasks get a turn.
const RUN: usize = 500;
/// How long to wait for room in librdkafka's queue before another try.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// A record ready to be sent.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) topic: Arc<str>,
    /// `None`: the key chooses.
    pub(crate) partition: Option<i32>,
    pub(crate) key: Bytes,
    pub(crate) headers: Headers,
    /// `None` is a tombstone.
    pub(crate) value: Option<Bytes>,
}

/// Records of a batch that are not sent yet; when their publisher stops waiting, they never are.
struct Unsent<'a> {
    confirmations: &'a Confirmations,
    tags: std::ops::Range<usize>,
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        for tag in self.tags.clone() {
            self.confirmations.confirm(tag, Err(RDKafkaErrorCode::PurgeQueue));
        }
    }
}

type Client = BaseProducer<Delivering>;

/// The engine's producer.
pub(crate) struct Publisher {
    options: Arc<Options>,
    context: Delivering,
    client: RwLock<Arc<Client>>,
    stopped: AtomicBool,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    /// Makes the producer and starts its thread.
    pub(crate) fn start(options: Arc<Options>, common: Common) -> KafkaResult<Arc<Self>> {
        let context = common.with(Arc::new(Confirmations::default()));
        let client = make(&options, &context)?;
        let publisher = Arc::new(Self {
            options,
            context,
            client: RwLock::new(client.clone()),
            stopped: AtomicBool::new(false),
        });
        poll(&publisher, client);
        Ok(publisher)
    }

    /// Sends a batch and waits until each record is confirmed or has failed. Within each partition the order is kept.
    pub(crate) async fn publish(self: &Arc<Self>, batch: &[Ready]) -> Failures {
        if batch.is_empty() {
            return Vec::new();
        }
        if self.stopped.load(Ordering::Acquire) {
            return all_failed(batch);
        }
        let (tag, confirmed) = self.context.own.expect(batch.len());
        let client = self.client();
        let mut unsent = Unsent { confirmations: &self.context.own, tags: tag..tag + batch.len() };
        for (index, ready) in batch.iter().enumerate() {
            while let Err(code) = send(&client, ready, tag + index) {
                if code != RDKafkaErrorCode::QueueFull || self.stopped.load(Ordering::Acquire) {
                    self.context.own.confirm(tag + index, Err(code));
                    break;
                }
                tokio::time::sleep(FULL_PAUSE).await;
            }
            unsent.tags.start += 1;
            if index % RUN == RUN - 1 {
                tokio::task::yield_now().await;
            }
        }
        let failures = confirmed.await.unwrap_or_else(|_| all_failed(batch));
        if !failures.is_empty() && client.client().fatal_error().is_some() {
            self.replace(&client);
        }
        failures
    }

    /// Ends the thread; what is still under way is not confirmed any more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// As [`Self::stop`], and nothing that librdkafka still has queued is sent.
    pub(crate) fn abandon(&self) {
        self.stop();
        let everything = rdkafka::producer::PurgeConfig::default().queue().inflight();
        self.client().purge(everything);
        self.context.own.abandon();
    }

    fn client(&self) -> Arc<Client> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A producer that met a fatal error is of no more use; another one takes its place.
    fn replace(self: &Arc<Self>, broken: &Arc<Client>) {
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&client, broken) || self.stopped.load(Ordering::Acquire) {
            return;
        }
        tracing::warn!(error = ?broken.client().fatal_error(), "the Kafka producer failed; another one takes its place");
        match make(&self.options, &self.context) {
            Ok(made) => {
                *client = made.clone();
                poll(self, made);
            }
            Err(error) => tracing::error!(%error, "no Kafka producer can be made"),
        }
    }
}

fn make(options: &Options, context: &Delivering) -> KafkaResult<Arc<Client>> {
    Ok(Arc::new(BaseProducer::from_config_and_context(&properties::producer(options), context.clone())?))
}

/// Polls a producer until the publisher stops or has another one.
fn poll(publisher: &Arc<Publisher>, client: Arc<Client>) {
    let weak = Arc::downgrade(publisher);
    let run = move || {
        while let Some(publisher) = weak.upgrade() {
            let current = Arc::ptr_eq(&publisher.client(), &client);
            if publisher.stopped.load(Ordering::Acquire) || (!current && client.in_flight_count() == 0) {
                break;
            }
            drop(publisher);
            client.poll(POLL);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("kafka-producer".to_owned()).spawn(run) {
        tracing::error!(%error, "no thread for the Kafka producer");
        publisher.stop();
    }
}

/// Puts one record into a producer's queue.
pub(crate) fn send<C: ProducerContext<DeliveryOpaque = usize>>(
    client: &BaseProducer<C>,
    ready: &Ready,
    tag: usize,
) -> Result<(), RDKafkaErrorCode> {
    let mut record: BaseRecord<'_, [u8], [u8], usize> =
        BaseRecord::with_opaque_to(&ready.topic, tag).key(ready.key.as_ref());
    record.partition = ready.partition;
    record.payload = ready.value.as_deref();
    if !ready.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(ready.headers.len());
        let add = |headers: OwnedHeaders, (name, value): &(String, Bytes)| {
            headers.insert(Header { key: name, value: Some(value.as_ref()) })
        };
        record.headers = Some(ready.headers.iter().fold(headers, add));
    }
    client.send(record).map_err(|(error, _)| code(&error))
}

pub(crate) fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}

fn all_failed(batch: &[Ready]) -> Failures {
    (0..batch.len()).map(|index| (index, RDKafkaErrorCode::PurgeQueue)).collect()
}
