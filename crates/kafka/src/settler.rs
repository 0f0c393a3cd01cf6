//! Settling, together with what follows.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::error::RDKafkaErrorCode;
use trunkline_broker::{
    HandOverError, Outgoing, PublishError, PublishFailure, Receipt, RecordFailure, Settler,
};

use crate::confirm::Failures;
use crate::core::Core;
use crate::error::KafkaFailure;
use crate::lease::Part;
use crate::prepare::{prepare, unavailable};
use crate::publisher::Ready;
use crate::receipt::Token;

/// Publishes, and settles when everything is confirmed.
#[derive(Debug)]
pub(crate) struct PlainSettler {
    pub(crate) core: Arc<Core>,
}

#[async_trait]
impl Settler for PlainSettler {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        if !outputs.is_empty() {
            let prepared = prepare(&self.core, outputs).await;
            if !prepared.failures.is_empty() {
                return Err(refused(prepared.failures, inputs));
            }
            let failed = send(&self.core, &prepared.ready).await;
            if let Some((_, code)) = failed.first() {
                let cause = KafkaFailure::Unconfirmed(*code).into();
                let failed: BTreeSet<usize> = failed.iter().map(|(index, _)| *index).collect();
                let confirmed = (0..prepared.ready.len()).filter(|index| !failed.contains(index));
                let stored = confirmed.map(|index| prepared.indices[index]).collect();
                return Err(HandOverError::Unavailable { cause, inputs, stored });
            }
        }
        settle(inputs);
        Ok(())
    }
}

/// Outputs that can't be prepared are refused for ever, or can't be now.
pub(crate) fn refused(mut failures: Vec<RecordFailure>, inputs: Vec<Receipt>) -> HandOverError {
    let passing = |failure: &RecordFailure| matches!(failure.failure, PublishFailure::Unavailable(_));
    match failures.iter().position(passing) {
        Some(index) => {
            let cause = Box::new(failures.swap_remove(index));
            HandOverError::Unavailable { cause, inputs, stored: Vec::new() }
        }
        None => HandOverError::Refused { failures, inputs },
    }
}

/// Sends records in their order and waits until each is confirmed or has failed. A topic that takes little gets them one at a
/// time, because it does not take batches either.
async fn send(core: &Core, records: &[Ready]) -> Failures {
    let narrow = |record: &Ready| core.narrowed.limit(&record.topic).is_some();
    let (mut failures, mut sent) = (Failures::new(), 0);
    for run in records.chunk_by(|one, next| !narrow(one) && !narrow(next)) {
        let failed = core.publisher.publish(run).await;
        failures.extend(failed.into_iter().map(|(index, code)| (sent + index, code)));
        sent += run.len();
    }
    let refused = failures.iter().filter(|(_, code)| *code == RDKafkaErrorCode::MessageSizeTooLarge);
    let topics: BTreeSet<_> = refused.map(|(index, _)| records[*index].topic.clone()).collect();
    if !topics.is_empty()
        && let Err(error) = core.narrowed.learn(&core.asker, &topics).await
    {
        tracing::warn!(%error, ?topics, "what topics take that refused records for their size is not known");
    }
    failures
}

/// Settles receipts, runs of one lease at a time.
pub(crate) fn settle(inputs: Vec<Receipt>) {
    let mut run: Vec<i64> = Vec::with_capacity(inputs.len());
    let mut bytes = 0;
    let mut current: Option<Arc<Part>> = None;
    for token in inputs.into_iter().filter_map(Receipt::into_token::<Token>) {
        if current.as_ref().is_none_or(|part| !Arc::ptr_eq(part, &token.part)) {
            settle_run(current.take(), &mut run, &mut bytes);
            current = Some(token.part.clone());
        }
        run.push(token.offset);
        bytes += token.bytes;
    }
    settle_run(current, &mut run, &mut bytes);
}

fn settle_run(part: Option<Arc<Part>>, run: &mut Vec<i64>, bytes: &mut usize) {
    let Some(part) = part else { return };
    let records = run.len();
    part.settle(run.drain(..));
    part.slot.out.subtract(records, std::mem::take(bytes));
    // There is room again.
    part.slot.wake();
}

/// Publishes a batch of the port.
pub(crate) async fn publish(core: &Arc<Core>, batch: Vec<Outgoing>) -> Result<(), PublishError> {
    let channels: Vec<_> = batch.iter().map(|outgoing| (outgoing.channel.clone(), outgoing.size())).collect();
    let prepared = prepare(core, batch).await;
    let mut failures = prepared.failures;
    for (ready, code) in send(core, &prepared.ready).await {
        let index = prepared.indices[ready];
        let (channel, size) = &channels[index];
        let failure = match code {
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition => PublishFailure::Unroutable(channel.clone()),
            RDKafkaErrorCode::MessageSizeTooLarge => {
                match core.narrowed.limit(&prepared.ready[ready].topic).filter(|limit| size > limit) {
                    Some(limit) => PublishFailure::TooLarge { size: *size, limit },
                    // Refused with the batch it was in.
                    None => unavailable(KafkaFailure::Unconfirmed(code)),
                }
            }
            code => unavailable(KafkaFailure::Unconfirmed(code)),
        };
        failures.push(RecordFailure { index, failure });
    }
    failures.sort_by_key(|failure| failure.index);
    if failures.is_empty() { Ok(()) } else { Err(PublishError { failures }) }
}
