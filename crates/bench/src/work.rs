//! Events to be routed, and what is to come of them.

use bytes::Bytes;
use trunkline_broker::{Broker, Outgoing};
use trunkline_core::{Data, Delivery, Event};
use trunkline_sdk::accepted::accepted;

use crate::ledger::{Ledger, Payloads};

/// Records of one publish while the channel is filled.
const FILLING: usize = 1_000;

/// The events, encoded.
#[derive(Debug)]
pub struct Work {
    payloads: Payloads,
    /// As records of `events`, in the order in which they are published.
    events: Vec<Outgoing>,
    keys: u32,
    each: u32,
}

impl Work {
    /// `each` events with data of `bytes` of each of so many keys, by turns, all of the type `bench.kind-0`.
    ///
    /// # Errors
    /// None that could happen.
    pub fn new(keys: u32, each: u32, bytes: usize) -> anyhow::Result<Self> {
        let payloads = Payloads::new(bytes);
        let mut events = Vec::new();
        for sequence in 0..each {
            for key in 0..keys {
                let data = String::from_utf8(payloads.make(key, sequence).to_vec())?;
                let event = Event::builder(format!("{key}-{sequence}"), "bench", "bench.kind-0");
                let event = event.key(format!("key-{key}")).json(data).build()?;
                events.push(accepted(&event, "gateway"));
            }
        }
        Ok(Self { payloads, events, keys, each })
    }

    /// How many events.
    pub fn count(&self) -> u64 {
        self.events.len() as u64
    }

    /// Publishes all of them.
    ///
    /// # Errors
    /// The engine's.
    pub async fn fill(&self, broker: &dyn Broker) -> anyhow::Result<()> {
        for batch in self.events.chunks(FILLING) {
            broker.publish(batch.to_vec()).await?;
        }
        Ok(())
    }

    /// What is to come through.
    pub fn expected(&self) -> Ledger {
        let mut expected = Ledger::default();
        (0..self.keys).for_each(|key| expected.expect(&self.payloads, key, self.each));
        expected
    }
}

/// The event's data, out of a delivery if it was routed, else of a copied event.
///
/// # Errors
/// Bytes that are none.
pub fn payload(value: &Bytes, routed: bool) -> anyhow::Result<Bytes> {
    let event = if routed { Delivery::decode(value.clone())?.event } else { Event::decode(value.clone())? };
    match event.data() {
        Data::Text(text) => Ok(text.bytes().clone()),
        other => anyhow::bail!("an event with other data came through: {other:?}"),
    }
}
