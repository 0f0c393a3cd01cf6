//! What the writer is asked to do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use trunkline_broker::{
    ChannelName, ChannelSpec, Ensure, Outgoing, PublishFailure, Receipt, RecordFailure, TopologyError,
};

use crate::catalog::{Catalog, Channel};
use crate::codec::{body_checksum, encode_headers, partition_of};
use crate::error::EngineError;

/// A request to the writer.
#[derive(Debug)]
pub(crate) enum Request {
    Store(Store),
    Topology(Topology),
}

/// Records to store and receipts to settle, together or not at all.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) records: Vec<Prepared>,
    pub(crate) inputs: Vec<Receipt>,
    pub(crate) reply: oneshot::Sender<Result<(), Refused>>,
}

/// A [`Store`] that was not done; the inputs go back.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) error: EngineError,
    pub(crate) inputs: Vec<Receipt>,
}

/// A change of the channels.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) what: TopologyChange,
    pub(crate) reply: oneshot::Sender<Result<(), TopologyError>>,
}

#[derive(Debug)]
pub(crate) enum TopologyChange {
    Ensure(Vec<ChannelSpec>, Ensure),
    Remove(ChannelName, bool),
}

/// A record that may be stored, with everything done that needs no database, so that the writer has less to do.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) channel: Arc<Channel>,
    pub(crate) partition: u16,
    pub(crate) key: Bytes,
    pub(crate) headers: Vec<u8>,
    pub(crate) value: Bytes,
    pub(crate) checksum: u32,
    pub(crate) delay: Option<Duration>,
}

impl Store {
    /// KiB that it weighs while it waits.
    pub(crate) fn weight(&self) -> u32 {
        let bytes: usize = self.records.iter().map(Prepared::bytes).sum();
        u32::try_from(bytes / 1024 + self.inputs.len() / 16 + 1).unwrap_or(u32::MAX)
    }
}

impl Prepared {
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.headers.len() + self.value.len() + 64
    }
}

/// Prepares records; those that can never be stored are named by their index.
pub(crate) fn prepare(
    catalog: &Catalog,
    records: Vec<Outgoing>,
) -> (Vec<(usize, Prepared)>, Vec<RecordFailure>) {
    let mut prepared: Vec<(usize, Prepared)> = Vec::with_capacity(records.len());
    let mut failures = Vec::new();
    let mut last: Option<Arc<Channel>> = None;
    for (index, record) in records.into_iter().enumerate() {
        if last.as_ref().is_none_or(|channel| channel.name != record.channel) {
            last = catalog.get(&record.channel);
        }
        match last.as_ref() {
            None => {
                failures.push(RecordFailure { index, failure: PublishFailure::Unroutable(record.channel) })
            }
            Some(channel) => match prepare_one(channel, record) {
                Ok(record) => prepared.push((index, record)),
                Err(failure) => failures.push(RecordFailure { index, failure }),
            },
        }
    }
    (prepared, failures)
}

fn prepare_one(channel: &Arc<Channel>, record: Outgoing) -> Result<Prepared, PublishFailure> {
    let (size, limit) = (record.size(), channel.max_record());
    if size > limit {
        return Err(PublishFailure::TooLarge { size, limit });
    }
    let headers = encode_headers(&record.headers);
    Ok(Prepared {
        partition: partition_of(&record.key, channel.partitions()),
        checksum: body_checksum(&record.key, &headers, &record.value),
        channel: channel.clone(),
        key: record.key,
        headers,
        value: record.value,
        delay: record.delay.filter(|delay| !delay.is_zero()),
    })
}
