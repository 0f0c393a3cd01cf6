//! Which batches wait for which confirmations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::oneshot;

use crate::context::Context;

/// The records of a batch that were not stored, by index.
pub(crate) type Failures = Vec<(usize, RDKafkaErrorCode)>;

/// Bits of a record's tag that number it within its batch.
const INDEX_BITS: u32 = 32;

/// Batches under way. A record carries the number of its batch and its own in it, so that a confirmation costs neither
/// an allocation nor a wake; the batch's last one wakes whoever waits.
#[derive(Debug, Default)]
pub(crate) struct Confirmations {
    batches: Mutex<Batches>,
}

#[derive(Debug, Default)]
struct Batches {
    slots: Vec<Option<Batch>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Batch {
    remaining: usize,
    failures: Failures,
    done: oneshot::Sender<Failures>,
}

impl Confirmations {
    /// A batch of so many records, at least one, is about to be sent. Returns the tag of its first record; the others'
    /// follow.
    pub(crate) fn expect(&self, records: usize) -> (usize, oneshot::Receiver<Failures>) {
        let (done, waiter) = oneshot::channel();
        let batch = Batch { remaining: records, failures: Vec::new(), done };
        let mut batches = self.lock();
        let slot = match batches.free.pop() {
            Some(slot) => {
                batches.slots[slot] = Some(batch);
                slot
            }
            None => {
                batches.slots.push(Some(batch));
                batches.slots.len() - 1
            }
        };
        (slot << INDEX_BITS, waiter)
    }

    /// A record was confirmed, or not.
    pub(crate) fn confirm(&self, tag: usize, result: Result<(), RDKafkaErrorCode>) {
        let (slot, index) = (tag >> INDEX_BITS, tag & ((1 << INDEX_BITS) - 1));
        let mut batches = self.lock();
        let Some(entry) = batches.slots.get_mut(slot) else { return };
        let Some(batch) = entry else { return };
        if let Err(code) = result {
            batch.failures.push((index, code));
        }
        batch.remaining -= 1;
        if batch.remaining == 0
            && let Some(batch) = entry.take()
        {
            batches.free.push(slot);
            drop(batches);
            // Whoever waited may have gone.
            drop(batch.done.send(batch.failures));
        }
    }

    /// Nothing more will be confirmed.
    pub(crate) fn abandon(&self) {
        let mut batches = self.lock();
        batches.slots.clear();
        batches.free.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Batches> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A producer's context.
pub(crate) type Delivering = Context<Arc<Confirmations>>;

impl ProducerContext for Delivering {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        };
        self.own.confirm(tag, result);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_last_confirmation_answers_with_what_failed() {
        let confirmations = Confirmations::default();
        let (first, mut one) = confirmations.expect(3);
        let (second, mut other) = confirmations.expect(1);
        confirmations.confirm(first + 2, Err(RDKafkaErrorCode::MessageTimedOut));
        confirmations.confirm(first, Ok(()));
        assert!(one.try_recv().is_err());
        confirmations.confirm(second, Ok(()));
        assert_eq!(other.try_recv().unwrap(), []);
        confirmations.confirm(first + 1, Ok(()));
        assert_eq!(one.try_recv().unwrap(), [(2, RDKafkaErrorCode::MessageTimedOut)]);

        let (third, waiter) = confirmations.expect(1);
        assert!(third == first || third == second, "a place is used again");
        confirmations.abandon();
        assert!(waiter.blocking_recv().is_err());
        confirmations.confirm(third, Ok(()));
    }
}
