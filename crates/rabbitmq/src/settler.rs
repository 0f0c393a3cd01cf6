//! Settling, together with what follows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures::future::join_all;
use trunkline_broker::{HandOverError, Outgoing, PublishError, PublishFailure, Receipt, Settler};

use crate::consume::partition::{Acking, Partition};
use crate::consume::receipt::Token;
use crate::core::Core;
use crate::error::RabbitFailure;
use crate::publish::prepare;

/// Publishes first; acknowledges when all is confirmed.
#[derive(Debug)]
pub(crate) struct RabbitSettler {
    pub(crate) core: Arc<Core>,
}

#[async_trait]
impl Settler for RabbitSettler {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        let until = Instant::now() + self.core.options.publish_patience;
        let (prepared, mut failures) = prepare(&self.core, outputs).await;
        let passing = |failure: &PublishFailure| {
            matches!(failure, PublishFailure::Unavailable(_) | PublishFailure::Full(_))
        };
        if let Some(at) = failures.iter().position(|failed| passing(&failed.failure)) {
            let cause = failures.swap_remove(at).into();
            return Err(HandOverError::Unavailable { cause, inputs, stored: Vec::new() });
        }
        if !failures.is_empty() {
            return Err(HandOverError::Refused { failures, inputs });
        }
        let outputs = prepared.len();
        let failures = self.core.publisher.publish(prepared, until).await;
        if !failures.is_empty() {
            let failed: HashSet<usize> = failures.iter().map(|failed| failed.index).collect();
            let stored = (0..outputs).filter(|index| !failed.contains(index)).collect();
            return Err(HandOverError::Unavailable {
                cause: PublishError { failures }.into(),
                inputs,
                stored,
            });
        }
        settle(inputs).await;
        Ok(())
    }
}

/// Acknowledges; what can't be any more is handed out again by the broker.
async fn settle(inputs: Vec<Receipt>) {
    for failed in join_all(acknowledge(inputs)).await.into_iter().filter_map(Result::err) {
        let error = RabbitFailure::from(failed);
        tracing::debug!(%error, "an acknowledgement was lost with its connection; the records come again");
    }
}

/// Which partition, and which of its AMQP channels.
type Session = (*const Partition, u64);

/// Puts acknowledgements in line, as few as can be for each partition.
fn acknowledge(inputs: Vec<Receipt>) -> Vec<Acking> {
    let mut partitions: HashMap<Session, (Arc<Partition>, Vec<u64>)> = HashMap::new();
    let mut shares = Vec::with_capacity(inputs.len());
    for token in inputs.into_iter().filter_map(Receipt::into_token::<Token>) {
        let Token { partition, session, tag, share } = *token;
        let key = (Arc::as_ptr(&partition), session);
        partitions.entry(key).or_insert_with(|| (partition, Vec::new())).1.push(tag);
        shares.push(share);
    }
    let sent =
        partitions.into_iter().flat_map(|((_, session), (partition, tags))| partition.settle(session, tags));
    // There is room for more records only when these are settled.
    sent.collect()
}
