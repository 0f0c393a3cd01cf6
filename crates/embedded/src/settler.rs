//! Settling, together with what follows.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::oneshot;
use trunkline_broker::{HandOverError, Outgoing, Receipt, Settler};

use crate::core::Core;
use crate::error::EngineError;
use crate::request::{Refused, Request, Store, prepare};

/// Settles in the same transaction that publishes.
#[derive(Debug)]
pub(crate) struct EmbeddedSettler {
    pub(crate) core: Arc<Core>,
}

#[async_trait]
impl Settler for EmbeddedSettler {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        let (prepared, failures) = prepare(&self.core.catalog, outputs);
        if !failures.is_empty() {
            return Err(HandOverError::Refused { failures, inputs });
        }
        if inputs.is_empty() && prepared.is_empty() {
            return Ok(());
        }
        let records = prepared.into_iter().map(|(_, record)| record).collect();
        store(&self.core, records, inputs).await.map_err(|Refused { error, inputs }| {
            HandOverError::Unavailable { cause: error.into(), inputs, stored: Vec::new() }
        })
    }
}

/// Asks the writer and waits for its answer. Whoever stops waiting has asked all the same.
pub(crate) async fn store(
    core: &Core,
    records: Vec<crate::request::Prepared>,
    inputs: Vec<Receipt>,
) -> Result<(), Refused> {
    let (reply, answer) = oneshot::channel();
    let store = Store { records, inputs, reply };
    let weight = store.weight();
    if let Err(request) = core.requests.push(Request::Store(store), weight).await {
        let inputs = match request {
            Request::Store(store) => store.inputs,
            Request::Topology(_) => Vec::new(),
        };
        return Err(Refused { error: EngineError::Closed, inputs });
    }
    match answer.await {
        Ok(answer) => answer,
        // The writer is gone; the receipts it held have given their records back.
        Err(_) => Err(Refused { error: EngineError::Closed, inputs: Vec::new() }),
    }
}
