//! One lane: a transactional producer on a thread of its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};
use trunkline_broker::{ConsumeError, HandOverError};

use super::{Queue, Request, address};
use crate::confirm::{Confirmations, Delivering};
use crate::context::Common;
use crate::error::{ConnectError, KafkaFailure};
use crate::lease::{Part, Standing};
use crate::options::Options;
use crate::properties;
use crate::publisher::send;
use crate::settler::settle;

/// How long to poll for confirmations at a time.
const POLL: Duration = Duration::from_millis(1);
/// How long to wait before something that may be tried again is.
const PAUSE: Duration = Duration::from_millis(50);
/// No confirmation is waited for by this tag: what was not stored fails the transaction.
const NO_TAG: usize = usize::MAX;

type Client = BaseProducer<Delivering>;

/// A transactional producer and what it works for.
pub(super) struct Lane {
    options: Arc<Options>,
    common: Common,
    id: String,
    queue: Arc<Queue>,
    producer: Client,
}

/// How a transaction ended that was not committed.
enum Ended {
    /// Its inputs may be handed over again.
    Aborted(KafkaError),
    /// The producer is of no more use.
    Broken(KafkaError),
    /// Another process took over.
    Fenced,
    /// The engine was closed under it.
    Abandoned,
}

impl Lane {
    /// Takes the transactional id over. Blocks.
    pub(super) fn begin(
        options: Arc<Options>,
        common: Common,
        number: u16,
        queue: Arc<Queue>,
    ) -> Result<Self, ConnectError> {
        let id = format!("{}{}-{number}", options.prefix, options.client);
        let unusable = |cause| ConnectError::Unusable {
            bootstrap: options.bootstrap.clone(),
            cause: KafkaFailure::Refused {
                bootstrap: options.bootstrap.clone(),
                action: format!("begin transactions as `{id}`"),
                cause,
            }
            .into(),
        };
        let producer = make(&options, &common, &id).map_err(unusable)?;
        Ok(Self { options, common, id, queue, producer })
    }

    pub(super) fn run(mut self) {
        while let Some(requests) = self.queue.take() {
            let parts: Vec<usize> = requests
                .iter()
                .flat_map(|request| &request.inputs)
                .map(|inputs| address(&inputs.part))
                .collect();
            let requests = without_lost(requests);
            let ended = self.transact(&requests);
            let abandoned = matches!(ended, Err(Ended::Abandoned));
            self.answer(requests, ended);
            self.queue.done(&parts);
            if abandoned {
                // Never closed, so nothing is said to the cluster.
                std::mem::forget(self.producer);
                return;
            }
        }
    }

    fn answer(&mut self, requests: Vec<Request>, ended: Result<(), Ended>) {
        match ended {
            Ok(()) => {
                for request in requests {
                    settle(request.receipts);
                    // Whoever waited may have gone; it is done all the same.
                    drop(request.reply.send(Ok(())));
                }
            }
            Err(Ended::Abandoned) => {}
            Err(Ended::Fenced) => {
                self.queue.fenced.store(true, Ordering::Release);
                tracing::error!(
                    id = self.id,
                    "another process took over the transactional id; this one must stop"
                );
                for request in requests {
                    for inputs in &request.inputs {
                        if let Some(inbox) = inputs.part.slot.inbox.upgrade() {
                            inbox.tell(Err(ConsumeError::Fenced));
                        }
                    }
                    drop(request.reply.send(Err(HandOverError::Fenced)));
                }
            }
            Err(Ended::Aborted(cause)) => self.give_back(requests, &cause),
            Err(Ended::Broken(cause)) => {
                self.give_back(requests, &cause);
                self.renew();
            }
        }
    }

    fn give_back(&self, requests: Vec<Request>, cause: &KafkaError) {
        for request in requests {
            let cause = KafkaFailure::Refused {
                bootstrap: self.options.bootstrap.clone(),
                action: format!("commit a transaction of `{}`", self.id),
                cause: cause.clone(),
            };
            let inputs = request.receipts;
            let error = HandOverError::Unavailable { cause: cause.into(), inputs, stored: Vec::new() };
            drop(request.reply.send(Err(error)));
        }
    }

    /// Makes another producer. The one before may have left a transaction; beginning anew ends it.
    fn renew(&mut self) {
        while !self.is_abandoned() {
            match make(&self.options, &self.common, &self.id) {
                Ok(producer) => {
                    self.producer = producer;
                    return;
                }
                Err(error) => tracing::warn!(id = self.id, %error, "transactions can't be begun anew yet"),
            }
            std::thread::sleep(PAUSE * 10);
        }
    }

    fn is_abandoned(&self) -> bool {
        self.queue.abandoned.load(Ordering::Acquire)
    }

    fn transact(&self, requests: &[Request]) -> Result<(), Ended> {
        if self.queue.fenced.load(Ordering::Acquire) {
            return Err(Ended::Fenced);
        }
        if requests.is_empty() {
            return Ok(());
        }
        self.retry(|| self.producer.begin_transaction())?;
        let done = self.fill(requests).and_then(|positions| {
            self.retry(|| self.producer.commit_transaction(self.options.publish_timeout))?;
            Ok(positions)
        });
        match done {
            Ok(positions) => {
                for (part, position) in positions {
                    part.committed.fetch_max(position, Ordering::AcqRel);
                }
                Ok(())
            }
            Err(Ended::Aborted(cause)) => {
                self.retry(|| self.producer.abort_transaction(self.options.request_timeout))?;
                Err(Ended::Aborted(cause))
            }
            Err(ended) => Err(ended),
        }
    }

    /// Puts outputs and positions into the transaction.
    fn fill(&self, requests: &[Request]) -> Result<Vec<(Arc<Part>, i64)>, Ended> {
        for ready in requests.iter().flat_map(|request| &request.outputs) {
            while let Err(code) = send(&self.producer, ready, NO_TAG) {
                if code != RDKafkaErrorCode::QueueFull {
                    return Err(self.ended(KafkaError::MessageProduction(code)));
                }
                self.wait_for_confirmations(1)?;
            }
        }
        let positions = self.send_positions(requests)?;
        self.wait_for_confirmations(usize::MAX)?;
        Ok(positions)
    }

    /// Until nothing is under way, or for so many polls.
    fn wait_for_confirmations(&self, polls: usize) -> Result<(), Ended> {
        let mut polled = 0;
        while polled < polls && self.producer.in_flight_count() > 0 {
            if self.is_abandoned() {
                return Err(Ended::Abandoned);
            }
            self.producer.poll(POLL);
            polled += 1;
        }
        Ok(())
    }

    fn send_positions(&self, requests: &[Request]) -> Result<Vec<(Arc<Part>, i64)>, Ended> {
        let mut all: HashMap<usize, (&Request, &Arc<Part>, BTreeSet<i64>)> = HashMap::new();
        for request in requests {
            for inputs in &request.inputs {
                let entry = all.entry(address(&inputs.part));
                let (_, _, offsets) = entry.or_insert_with(|| (request, &inputs.part, BTreeSet::new()));
                offsets.extend(&inputs.offsets);
            }
        }
        let mut positions = Vec::with_capacity(all.len());
        let mut lists: HashMap<usize, (&Request, TopicPartitionList)> = HashMap::new();
        for (request, part, offsets) in all.into_values() {
            let position = part.position_after(&offsets);
            if position <= part.committed.load(Ordering::Acquire) {
                continue;
            }
            let member = request.consumer.as_ptr() as usize;
            let (_, list) = lists.entry(member).or_insert_with(|| (request, TopicPartitionList::new()));
            let mut element = list.add_partition(&part.slot.topic, i32::from(part.partition));
            element.set_metadata(&part.slot.incarnation);
            // An offset that a message came from can be set.
            drop(element.set_offset(Offset::Offset(position)));
            positions.push((part.clone(), position));
        }
        for (request, list) in lists.into_values() {
            let unknown = || Ended::Aborted(KafkaError::Global(RDKafkaErrorCode::UnknownMemberId));
            let consumer = request.consumer.upgrade().ok_or_else(unknown)?;
            let member = consumer.group_metadata().ok_or_else(unknown)?;
            let timeout = self.options.request_timeout;
            self.retry(|| self.producer.send_offsets_to_transaction(&list, &member, timeout))?;
        }
        Ok(positions)
    }

    /// Tries until it is done or can't be.
    fn retry(&self, mut what: impl FnMut() -> Result<(), KafkaError>) -> Result<(), Ended> {
        let begun = Instant::now();
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
                return Err(self.ended(error));
            }
            tracing::debug!(id = self.id, %error, elapsed = ?begun.elapsed(), "a transaction takes long");
            std::thread::sleep(PAUSE);
        }
    }

    /// What an error means for the transaction.
    fn ended(&self, error: KafkaError) -> Ended {
        use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
        let fatal = self.producer.client().fatal_error();
        let code = fatal.as_ref().map(|(code, _)| *code).or(error.rdkafka_error_code());
        let transaction = match &error {
            KafkaError::Transaction(error) => Some(error.code()),
            _ => None,
        };
        let fenced = |code: RDKafkaErrorCode| matches!(code, Fenced | InvalidProducerEpoch | ProducerFenced);
        if fatal.is_some() && (code.is_some_and(fenced) || transaction.is_some_and(fenced)) {
            Ended::Fenced
        } else if fatal.is_some() {
            Ended::Broken(error)
        } else {
            Ended::Aborted(error)
        }
    }
}

/// Leaves out what can't be settled any more. A hand-over whose inputs were partly lost, or stand behind a record that
/// comes again, is not published at all: its records come again, here or elsewhere, and are published then.
fn without_lost(requests: Vec<Request>) -> Vec<Request> {
    let mut kept = Vec::with_capacity(requests.len());
    for mut request in requests {
        let standing = |inputs: &super::Inputs| inputs.part.standing(&inputs.offsets);
        let whole = request.inputs.iter().all(|inputs| standing(inputs) == Standing::Next);
        if !whole && !request.outputs.is_empty() {
            // Dropped receipts give their records back.
            drop(request.receipts);
            drop(request.reply.send(Ok(())));
            continue;
        }
        request.inputs.retain(|inputs| standing(inputs) != Standing::Lost);
        kept.push(request);
    }
    kept
}

fn make(options: &Options, common: &Common, id: &str) -> Result<Client, KafkaError> {
    let context = Delivering { common: common.clone(), confirmations: Arc::new(Confirmations::default()) };
    let producer: Client =
        BaseProducer::from_config_and_context(&properties::transactional(options, id), context)?;
    producer.init_transactions(options.publish_timeout)?;
    Ok(producer)
}
