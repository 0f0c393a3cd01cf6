//! One lane: a thread that makes transactions of the hand-overs that wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use trunkline_broker::{ConsumeError, HandOverError};

use super::producer::{Ended, PAUSE, Positions, Transactor};
use super::{Queue, Request, address};
use crate::context::Common;
use crate::error::{ConnectError, KafkaFailure};
use crate::lease::Standing;
use crate::options::Options;
use crate::settler::settle;

/// A transactional producer and what it works for.
pub(super) struct Lane {
    options: Arc<Options>,
    common: Common,
    id: String,
    queue: Arc<Queue>,
    /// `None` while none can be made.
    producer: Option<Transactor>,
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
        let unusable = |cause: KafkaFailure| ConnectError::Unusable {
            bootstrap: options.bootstrap.clone(),
            cause: cause.into(),
        };
        let producer = Some(Transactor::begin(&options, &common, &queue, &id).map_err(unusable)?);
        Ok(Self { options, common, id, queue, producer })
    }

    pub(super) fn run(mut self) {
        while let Some(requests) = self.queue.take() {
            let parts: Vec<usize> = requests
                .iter()
                .flat_map(|request| &request.inputs)
                .map(|inputs| address(&inputs.part))
                .collect();
            self.carry_out(requests);
            self.queue.done(&parts);
            if self.is_abandoned() {
                // Never closed, so nothing is said to the cluster.
                std::mem::forget(self.producer);
                return;
            }
        }
    }

    /// Until the hand-overs are done, or can't be in time. A group that changes its members in the middle of a transaction
    /// refuses it; it is taken back and made again, as long as the leases stand.
    fn carry_out(&mut self, mut requests: Vec<Request>) {
        let deadline = Instant::now() + self.options.publish_timeout;
        loop {
            requests = without_lost(requests);
            if requests.is_empty() {
                return;
            }
            let mut positions = Positions::new();
            let cause = match self.attempt(&requests, &mut positions) {
                Ok(()) => return done(requests, positions),
                Err(Ended::Abandoned) => return,
                Err(Ended::Fenced) => return self.fenced(requests),
                Err(Ended::Aborted(cause)) => cause,
                Err(Ended::Broken(cause)) => {
                    tracing::warn!(id = self.id, %cause, "a transactional producer failed; another one takes its place");
                    self.producer = None;
                    self.renew();
                    if self.is_abandoned() {
                        return;
                    }
                    match self.are_reached(&requests, &positions) {
                        Some(true) => return done(requests, positions),
                        Some(false) => cause,
                        None => return self.give_back(requests, &cause),
                    }
                }
            };
            if !is_passing(&cause) || deadline <= Instant::now() {
                return self.give_back(requests, &cause);
            }
            tracing::debug!(id = self.id, %cause, "a transaction is made again");
            std::thread::sleep(PAUSE);
        }
    }

    fn attempt(&self, requests: &[Request], positions: &mut Positions) -> Result<(), Ended> {
        match &self.producer {
            Some(producer) => producer.transact(requests, positions),
            None => Err(Ended::Abandoned),
        }
    }

    fn fenced(&self, requests: Vec<Request>) {
        self.queue.fenced.store(true, Ordering::Release);
        tracing::error!(id = self.id, "another process took over the transactional id; this one must stop");
        for request in requests {
            for inputs in &request.inputs {
                if let Some(inbox) = inputs.part.slot.inbox.upgrade() {
                    inbox.tell(Err(ConsumeError::Fenced));
                }
            }
            drop(request.reply.send(Err(HandOverError::Fenced)));
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
            match Transactor::begin(&self.options, &self.common, &self.queue, &self.id) {
                Ok(producer) => {
                    self.producer = Some(producer);
                    return;
                }
                Err(error) => tracing::warn!(id = self.id, %error, "transactions can't be begun anew yet"),
            }
            std::thread::sleep(PAUSE * 10);
        }
    }

    /// Whether a transaction whose end was not heard of was committed, now that it has ended one way or the other: then the
    /// group stands where it would have brought it. `None`: one of outputs alone leaves no mark.
    fn are_reached(&self, requests: &[Request], positions: &Positions) -> Option<bool> {
        if positions.is_empty() {
            // It had not come as far as to be committed.
            return requests.iter().any(|request| !request.inputs.is_empty()).then_some(false);
        }
        loop {
            match reached(requests, positions, self.options.request_timeout) {
                Ok(reached) => return Some(reached),
                Err(_) if self.is_abandoned() => return None,
                Err(error) => {
                    tracing::warn!(id = self.id, %error, "whether a transaction was committed is not known yet");
                }
            }
            std::thread::sleep(PAUSE * 10);
        }
    }

    fn is_abandoned(&self) -> bool {
        self.queue.abandoned.load(Ordering::Acquire)
    }
}

fn done(requests: Vec<Request>, positions: Positions) {
    for (part, position) in positions {
        part.committed.fetch_max(position, Ordering::AcqRel);
    }
    for request in requests {
        settle(request.receipts);
        // Whoever waited may have gone; it is done all the same.
        drop(request.reply.send(Ok(())));
    }
}

/// Whether the group has come to all these positions.
fn reached(requests: &[Request], positions: &Positions, timeout: Duration) -> KafkaResult<bool> {
    let consumer = |part| {
        let of = |request: &&Request| request.inputs.iter().any(|inputs| Arc::ptr_eq(&inputs.part, part));
        requests.iter().find(of).and_then(|request| request.consumer.upgrade())
    };
    for (part, position) in positions {
        // Without its consumer the lease is lost, and what is not settled comes again elsewhere.
        let Some(consumer) = consumer(part) else { return Ok(false) };
        let mut list = TopicPartitionList::new();
        list.add_partition(&part.slot.topic, i32::from(part.partition));
        let committed = consumer.committed_offsets(list, timeout)?;
        let reached = committed.elements().iter().any(|element| {
            let here = matches!(element.offset(), Offset::Offset(offset) if offset >= *position);
            here && element.metadata() == part.slot.incarnation
        });
        if !reached {
            return Ok(false);
        }
    }
    Ok(true)
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
        if request.inputs.is_empty() && request.outputs.is_empty() {
            drop(request.receipts);
            drop(request.reply.send(Ok(())));
            continue;
        }
        kept.push(request);
    }
    kept
}

/// Whether the same transaction may be accepted a moment later: the group is changing its members, a coordinator moves,
/// or the broker has forgotten a producer, which begins anew after an abort.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::CoordinatorLoadInProgress
                | Code::CoordinatorNotAvailable
                | Code::Fatal
                | Code::Fenced
                | Code::IllegalGeneration
                | Code::InvalidProducerIdMapping
                | Code::LeaderNotAvailable
                | Code::MessageTimedOut
                | Code::NotCoordinator
                | Code::NotLeaderForPartition
                | Code::OperationTimedOut
                | Code::OutOfOrderSequenceNumber
                | Code::RebalanceInProgress
                | Code::RequestTimedOut
                | Code::UnknownMemberId
                | Code::UnknownProducerId
        )
    )
}
