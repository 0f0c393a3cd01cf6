//! Settling, together with what follows.

use std::sync::Arc;

use async_trait::async_trait;
use rdkafka::error::RDKafkaErrorCode;
use trunkline_broker::{
    HandOverError, Outgoing, PublishError, PublishFailure, Receipt, RecordFailure, Settler,
};

use crate::core::Core;
use crate::error::KafkaFailure;
use crate::lease::Part;
use crate::prepare::{prepare, unavailable};
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
            let failed = self.core.publisher.publish(&prepared.ready).await;
            if let Some((_, code)) = failed.first() {
                let cause = KafkaFailure::Unconfirmed(*code).into();
                return Err(HandOverError::Unavailable { cause, inputs });
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
            HandOverError::Unavailable { cause, inputs }
        }
        None => HandOverError::Refused { failures, inputs },
    }
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
    for (index, code) in core.publisher.publish(&prepared.ready).await {
        let index = prepared.indices[index];
        let (channel, size) = &channels[index];
        let failure = match code {
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition => PublishFailure::Unroutable(channel.clone()),
            RDKafkaErrorCode::MessageSizeTooLarge => {
                let limit = core.register.catalog.get(channel).map_or(0, |channel| channel.max_record);
                PublishFailure::TooLarge { size: *size, limit }
            }
            code => unavailable(KafkaFailure::Unconfirmed(code)),
        };
        failures.push(RecordFailure { index, failure });
    }
    failures.sort_by_key(|failure| failure.index);
    if failures.is_empty() { Ok(()) } else { Err(PublishError { failures }) }
}
