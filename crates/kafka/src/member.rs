//! The thread of one consumer: it polls, whatever happens.
//!
//! Everything that takes time goes on between two polls: draining a revoked lease, committing, waiting for room. So the
//! group never misses a sign of life, and one channel never stops another.

mod commit;
mod flow;
mod leases;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use trunkline_broker::{ConsumeError, Start};

use crate::context::Common;
use crate::error::KafkaFailure;
use crate::inbox::Inbox;
use crate::lease::Part;
use crate::options::Options;
use crate::properties;
use crate::raw::Blocks;
use crate::rebalance::{Joining, News, TopicPartition, abandon};
use crate::window::Fetched;

use commit::Committing;
use leases::Leaving;

/// How long to poll when nothing is under way; a new order is noticed after it.
const IDLE_POLL: Duration = Duration::from_millis(50);
/// How long to poll while something else is waited for.
const BUSY_POLL: Duration = Duration::from_millis(3);
/// Messages taken between two looks at everything else.
const ROUND_RECORDS: usize = 2000;
/// Bytes, likewise.
const ROUND_BYTES: usize = 4 << 20;

/// A consumer of a group.
pub(crate) type GroupConsumer = BaseConsumer<Joining>;

/// What a consumer's thread works with.
pub(crate) struct Member {
    options: Arc<Options>,
    inbox: Arc<Inbox>,
    consumer: Arc<GroupConsumer>,
    group: String,
    from: Start,
    epochs: Arc<AtomicU64>,
    parts: HashMap<TopicPartition, Arc<Part>>,
    paused: HashSet<TopicPartition>,
    /// Given up while they were paused, which librdkafka remembers.
    asleep: HashSet<TopicPartition>,
    /// Assigned by the coordinator and not yet taken.
    assigning: Option<Vec<TopicPartition>>,
    assign_after: Instant,
    /// To be fetched from another offset.
    restarting: Vec<(TopicPartition, i64)>,
    revoking: Option<Leaving>,
    /// The intake was dropped, and its leases are being given up.
    is_left: bool,
    committing: Committing,
    blocks: Blocks,
    /// Fetched for one partition and not yet in its window.
    gathered: Vec<Fetched>,
}

impl Member {
    /// Joins a group, with the channels that are in the inbox, and starts its thread.
    pub(crate) fn start(
        options: Arc<Options>,
        common: Common,
        group: String,
        from: Start,
        epochs: Arc<AtomicU64>,
        inbox: Arc<Inbox>,
    ) -> Result<Arc<GroupConsumer>, KafkaFailure> {
        let refused = |cause| KafkaFailure::Refused {
            bootstrap: options.bootstrap.clone(),
            action: format!("be joined as group `{group}`"),
            cause,
        };
        let config = properties::consumer(&options, &group);
        let made =
            BaseConsumer::from_config_and_context(&config, common.with(News::default())).map_err(refused)?;
        let consumer = Arc::new(made);
        let threadless = |error: std::io::Error| refused(KafkaError::ClientCreation(error.to_string()));
        let committing = Committing::start(&options, &consumer).map_err(threadless)?;
        let mut member = Self {
            committing,
            options: options.clone(),
            inbox,
            consumer: consumer.clone(),
            group: group.clone(),
            from,
            epochs,
            parts: HashMap::new(),
            paused: HashSet::new(),
            asleep: HashSet::new(),
            assigning: None,
            assign_after: Instant::now(),
            restarting: Vec::new(),
            revoking: None,
            is_left: false,
            blocks: Blocks::default(),
            gathered: Vec::new(),
        };
        // The first subscription is made at once, so that joining begins before this returns.
        member.subscribe();
        let spawned =
            std::thread::Builder::new().name("kafka-consumer".to_owned()).spawn(move || member.run());
        spawned.map_err(threadless)?;
        Ok(consumer)
    }

    fn run(mut self) {
        self.inbox.begin();
        let inbox = self.inbox.clone();
        loop {
            if inbox.abandoned.load(Ordering::Acquire) {
                self.answer_all();
                abandon(self.consumer.clone(), self.options.session_timeout);
                break;
            }
            self.hear();
            if inbox.resubscribe.swap(false, Ordering::AcqRel) {
                self.subscribe();
            }
            self.take_leases();
            self.restart();
            self.end_leases();
            self.commit();
            if inbox.leaving.load(Ordering::Acquire) && self.leave() {
                break;
            }
            self.restrain();
            if let Err(error) = self.fetch() {
                inbox.tell(Err(error));
                break;
            }
        }
        // The consumer leaves the group as it is dropped.
        drop(self);
        inbox.ended.store(true, Ordering::Release);
        inbox.wake();
    }

    /// Takes the channels of the inbox for the group's subscription.
    fn subscribe(&mut self) {
        let slots = self.inbox.slots();
        let topics: Vec<&str> = slots.iter().map(|slot| &*slot.topic).collect();
        if topics.is_empty() {
            self.consumer.unsubscribe();
        } else if let Err(error) = self.consumer.subscribe(&topics) {
            tracing::error!(%error, group = self.group, "the group's channels can't be subscribed to");
        }
    }

    fn is_busy(&self) -> bool {
        self.assigning.is_some()
            || self.revoking.is_some()
            || !self.restarting.is_empty()
            || self.committing.is_under_way()
            || self.inbox.leaving.load(Ordering::Acquire)
    }

    /// Polls until there is nothing more just now, or enough.
    fn fetch(&mut self) -> Result<(), ConsumeError> {
        let consumer = self.consumer.clone();
        let (mut records, mut bytes) = (0, 0);
        let mut timeout = if self.is_busy() { BUSY_POLL } else { IDLE_POLL };
        // Messages of one partition come in runs.
        let mut current: Option<(usize, i32, Option<Arc<Part>>)> = None;
        while records < ROUND_RECORDS && bytes < ROUND_BYTES {
            let message = match consumer.poll(timeout) {
                None => break,
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.failed(&error)?;
                    continue;
                }
            };
            timeout = Duration::ZERO;
            records += 1;
            let place = (message.topic_ptr() as usize, message.partition());
            if current.as_ref().is_none_or(|(topic, partition, _)| (*topic, *partition) != place) {
                self.flush(current.take().and_then(|(_, _, part)| part));
                let part = self.parts.get(&(message.topic().to_owned(), message.partition())).cloned();
                current = Some((place.0, place.1, part));
            }
            if let Some((_, _, Some(_))) = &current {
                let fetched = self.read(&message);
                bytes += fetched.raw.len();
                self.gathered.push(fetched);
            }
        }
        self.flush(current.and_then(|(_, _, part)| part));
        if records > 0 {
            self.inbox.wake();
        }
        Ok(())
    }

    fn read(&mut self, message: &BorrowedMessage<'_>) -> Fetched {
        Fetched {
            offset: message.offset(),
            stored: message.timestamp().to_millis().unwrap_or(0),
            raw: self.blocks.copy(message),
        }
    }

    fn flush(&mut self, part: Option<Arc<Part>>) {
        let gathered = self.gathered.drain(..);
        if let Some(part) = part {
            part.push(gathered);
        }
    }

    /// Polling came to an error. What passes is librdkafka's to retry.
    fn failed(&mut self, error: &KafkaError) -> Result<(), ConsumeError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                self.out_of_range()
            }
            Some(
                code @ (RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::Authentication),
            ) => {
                tracing::warn!(group = self.group, error = %code, "the brokers do not let this consumer in; check its rights");
            }
            _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
                let cause = KafkaFailure::Refused {
                    bootstrap: self.options.bootstrap.clone(),
                    action: format!("serve group `{}`", self.group),
                    cause: error.clone(),
                };
                return Err(ConsumeError::Fatal(cause.into()));
            }
            _ => tracing::debug!(group = self.group, %error, "consuming"),
        }
        Ok(())
    }
}
