//! A transactional producer: what a transaction is made of, and what its errors mean.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::{Queue, Request, address};
use crate::asker::lock;
use crate::context::{Common, Context};
use crate::error::{KafkaFailure, TokenFailure};
use crate::lease::{Part, Standing};
use crate::options::Options;
use crate::properties;
use crate::publisher::{code, send};
use crate::token::Handed;

/// How long to poll for confirmations at a time.
const POLL: Duration = Duration::from_millis(1);
/// How long to wait before something that may be tried again is.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// How long a call may take that needs polling in between.
const STEP: Duration = Duration::from_millis(10);

/// The first record of a transaction that was not stored; it fails the transaction.
#[derive(Debug, Default)]
pub(super) struct FirstFailure(Mutex<Option<RDKafkaErrorCode>>);

type Client = BaseProducer<Context<Arc<FirstFailure>>>;

impl ProducerContext for Context<Arc<FirstFailure>> {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        if let Err((error, _)) = result {
            lock(&self.own.0).get_or_insert(code(error));
        }
    }
}

/// How a transaction ended that was not committed.
#[derive(Debug)]
pub(super) enum Ended {
    /// Its inputs may be handed over again.
    Aborted(KafkaError),
    /// The producer is of no more use, and it is not known whether the transaction was committed.
    Broken(KafkaError),
    /// Another process took over.
    Fenced,
    /// The engine was closed under it.
    Abandoned,
}

/// Where transactions bring a group, for each lease.
pub(super) type Positions = Vec<(Arc<Part>, i64)>;

/// Positions of one consumer, with its place in the group when they were still its own.
struct Commit {
    member: ConsumerGroupMetadata,
    list: TopicPartitionList,
}

/// A producer that holds a transactional id.
pub(super) struct Transactor {
    options: Arc<Options>,
    queue: Arc<Queue>,
    id: String,
    client: Client,
    failure: Arc<FirstFailure>,
    source: crate::token::TokenSource,
    token: Handed,
}

impl Transactor {
    /// Takes the transactional id over; a transaction that its last holder left is ended with that. Blocks.
    pub(super) fn begin(
        options: &Arc<Options>,
        common: &Common,
        queue: &Arc<Queue>,
        id: &str,
    ) -> Result<Self, KafkaFailure> {
        let refused = |cause| KafkaFailure::Refused {
            bootstrap: options.bootstrap.clone(),
            action: format!("begin transactions as `{id}`"),
            cause,
        };
        let failure = Arc::<FirstFailure>::default();
        let config = properties::transactional(options, id);
        let made = BaseProducer::from_config_and_context(&config, common.with(failure.clone()));
        let client: Client = made.map_err(refused)?;
        let (source, token) = (common.token.clone(), Handed::default());
        token.renew(client.client(), &source)?;
        client.init_transactions(options.publish_timeout).map_err(refused)?;
        let (options, queue, id) = (options.clone(), queue.clone(), id.to_owned());
        Ok(Self { options, queue, id, client, failure, source, token })
    }

    /// Publishes the outputs and settles the inputs of hand-overs, both or neither. `positions` says where that brings the
    /// group, as soon as that may have happened.
    pub(super) fn transact(&self, requests: &[Request], positions: &mut Positions) -> Result<(), Ended> {
        if self.queue.fenced.load(Ordering::Acquire) {
            return Err(Ended::Fenced);
        }
        let unusable = |error: TokenFailure| {
            tracing::warn!(id = self.id, %error, "transactions have no token");
            Ended::Aborted(KafkaError::Global(RDKafkaErrorCode::Authentication))
        };
        self.token.renew(self.client.client(), &self.source).map_err(unusable)?;
        let begun = Instant::now();
        lock(&self.failure.0).take();
        self.retry(begun, || self.client.begin_transaction())?;
        let done = self.fill(begun, requests, positions).and_then(|()| {
            let timeout = self.options.publish_timeout;
            self.retry(begun, || self.client.commit_transaction(timeout))
        });
        match done {
            Err(Ended::Aborted(cause)) => {
                self.abort(begun)?;
                Err(Ended::Aborted(cause))
            }
            done => done,
        }
    }

    /// Puts outputs and positions into the transaction.
    fn fill(&self, begun: Instant, requests: &[Request], positions: &mut Positions) -> Result<(), Ended> {
        for ready in requests.iter().flat_map(|request| &request.outputs) {
            while let Err(code) = send(&self.client, ready, 0) {
                if code != RDKafkaErrorCode::QueueFull {
                    return Err(self.ended(begun, KafkaError::MessageProduction(code)));
                }
                self.wait_for_confirmations(1)?;
            }
        }
        let (commits, reached) = commits(requests)?;
        let timeout = self.options.request_timeout;
        for Commit { member, list } in commits {
            self.retry(begun, || self.client.send_offsets_to_transaction(&list, &member, timeout))?;
        }
        self.wait_for_confirmations(usize::MAX)?;
        *positions = reached;
        Ok(())
    }

    /// Until nothing is under way, or for so many polls.
    fn wait_for_confirmations(&self, polls: usize) -> Result<(), Ended> {
        let mut polled = 0;
        while polled < polls && self.client.in_flight_count() > 0 {
            if self.is_abandoned() {
                return Err(Ended::Abandoned);
            }
            self.client.poll(POLL);
            // The others would wait in vain until their time is over.
            if let Some(code) = *lock(&self.failure.0) {
                return Err(Ended::Aborted(KafkaError::MessageProduction(code)));
            }
            polled += 1;
        }
        Ok(())
    }

    /// Takes everything back. What is queued is thrown away by the first call; its reports have to be taken before the
    /// next one can go on.
    fn abort(&self, begun: Instant) -> Result<(), Ended> {
        loop {
            if self.is_abandoned() {
                return Err(Ended::Abandoned);
            }
            let drained = self.client.in_flight_count() == 0;
            let timeout = if drained { self.options.request_timeout } else { STEP };
            match self.client.abort_transaction(timeout) {
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {}
                Ok(()) => return Ok(()),
                // A transaction that can't be aborted ends with its producer.
                Err(error) => {
                    return match self.ended(begun, error) {
                        Ended::Aborted(error) => Err(Ended::Broken(error)),
                        ended => Err(ended),
                    };
                }
            }
            self.client.poll(STEP);
        }
    }

    /// Tries until it is done or can't be.
    fn retry(&self, begun: Instant, mut what: impl FnMut() -> Result<(), KafkaError>) -> Result<(), Ended> {
        loop {
            if self.is_abandoned() {
                return Err(Ended::Abandoned);
            }
            let Err(error) = what() else { return Ok(()) };
            let again = match &error {
                KafkaError::Transaction(error) => error.is_retriable(),
                KafkaError::Flush(_) => true,
                _ => false,
            };
            if !again {
                return Err(self.ended(begun, error));
            }
            tracing::debug!(id = self.id, %error, elapsed = ?begun.elapsed(), "a transaction takes long");
            std::thread::sleep(PAUSE);
        }
    }

    /// What an error means for a transaction that was begun then.
    fn ended(&self, begun: Instant, error: KafkaError) -> Ended {
        use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
        let Some((code, _)) = self.client.client().fatal_error() else { return Ended::Aborted(error) };
        let told = [Some(code), error.rdkafka_error_code()];
        let fenced = |code: &RDKafkaErrorCode| matches!(code, Fenced | InvalidProducerEpoch | ProducerFenced);
        // A coordinator that ends a transaction because it lasted too long fences its producer, too.
        let in_time = begun.elapsed() < properties::transaction_timeout(&self.options);
        if in_time && told.iter().flatten().any(fenced) { Ended::Fenced } else { Ended::Broken(error) }
    }

    fn is_abandoned(&self) -> bool {
        self.queue.abandoned.load(Ordering::Acquire)
    }
}

/// What a transaction has to commit, each consumer's for itself.
///
/// A consumer's place in its group is taken first and its leases are looked at after that: when one of them is lost later,
/// the group has gone on to another generation, and refuses this one's.
fn commits(requests: &[Request]) -> Result<(Vec<Commit>, Positions), Ended> {
    let unknown = || Ended::Aborted(KafkaError::Global(RDKafkaErrorCode::UnknownMemberId));
    let mut commits: HashMap<usize, Commit> = HashMap::new();
    for request in requests.iter().filter(|request| !request.inputs.is_empty()) {
        if let Entry::Vacant(entry) = commits.entry(request.consumer.as_ptr() as usize) {
            let consumer = request.consumer.upgrade().ok_or_else(unknown)?;
            let member = consumer.group_metadata().ok_or_else(unknown)?;
            entry.insert(Commit { member, list: TopicPartitionList::new() });
        }
    }
    let mut reached = Positions::new();
    for (consumer, part, offsets) in by_lease(requests) {
        if part.standing(&offsets) == Standing::Lost {
            return Err(unknown());
        }
        let position = part.position_after(&offsets);
        let Some(commit) = commits.get_mut(&consumer).filter(|_| position > part.committed()) else {
            continue;
        };
        let mut element = commit.list.add_partition(&part.slot.topic, i32::from(part.partition));
        element.set_metadata(&part.slot.incarnation);
        // An offset that a message came from can be set.
        drop(element.set_offset(Offset::Offset(position)));
        reached.push((part, position));
    }
    Ok((commits.into_values().filter(|commit| commit.list.count() > 0).collect(), reached))
}

/// All inputs of each lease, with the address of its consumer.
fn by_lease(requests: &[Request]) -> Vec<(usize, Arc<Part>, BTreeSet<i64>)> {
    let mut leases: HashMap<usize, (usize, Arc<Part>, BTreeSet<i64>)> = HashMap::new();
    for request in requests {
        for inputs in &request.inputs {
            let new = || (request.consumer.as_ptr() as usize, inputs.part.clone(), BTreeSet::new());
            leases.entry(address(&inputs.part)).or_insert_with(new).2.extend(&inputs.offsets);
        }
    }
    leases.into_values().collect()
}
