//! Publishing: what is checked before, and the way to the task that does it.

mod lane;
mod orders;
mod returns;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use trunkline_broker::{ChannelName, Outgoing, PublishFailure, RecordFailure};

use crate::catalog::Channel;
use crate::codec::{MAX_HEAD, MAX_NAME};
use crate::core::Core;
use crate::delay::Delay;
use crate::error::RabbitFailure;
use crate::link::Link;
use crate::murmur;
use crate::options::Options;
use crate::topology;

/// How many batches may wait for the publishing task.
const WAITING: usize = 256;

/// A record that can be published.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Its place in the caller's batch.
    pub(crate) index: usize,
    pub(crate) channel: Arc<Channel>,
    pub(crate) partition: u16,
    pub(crate) delay: Option<Delay>,
    pub(crate) record: Outgoing,
    /// Somebody looks at the channel.
    pub(crate) observed: bool,
}

/// A batch on its way to the publishing task.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) records: Vec<Prepared>,
    /// Until when its confirmations are waited for.
    pub(crate) until: Instant,
    /// Where to say which records are not known to be stored, in order.
    pub(crate) reply: oneshot::Sender<Vec<RecordFailure>>,
}

/// The way to the publishing task.
#[derive(Debug)]
pub(crate) struct Publisher {
    orders: mpsc::Sender<Order>,
    pub(crate) link: Arc<Link>,
}

impl Publisher {
    pub(crate) fn start(link: Arc<Link>, options: &Options, closing: CancellationToken) -> Self {
        let (orders, incoming) = mpsc::channel(WAITING);
        tokio::spawn(lane::run(link.clone(), incoming, options.publish_window.max(1), closing));
        Self { orders, link }
    }

    /// Publishes; returns the records that are not known to be stored, in order.
    pub(crate) async fn publish(&self, records: Vec<Prepared>, until: Instant) -> Vec<RecordFailure> {
        if records.is_empty() {
            return Vec::new();
        }
        let indices: Vec<usize> = records.iter().map(|record| record.index).collect();
        let (reply, answer) = oneshot::channel();
        if self.orders.send(Order { records, until, reply }).await.is_ok()
            && let Ok(failures) = answer.await
        {
            return failures;
        }
        let failure = |index| {
            let failure = PublishFailure::Unavailable(RabbitFailure::Closed.into());
            RecordFailure { index, failure }
        };
        indices.into_iter().map(failure).collect()
    }
}

/// Checks a batch: what can never be stored, or not now, is named; the rest can be published.
pub(crate) async fn prepare(core: &Core, batch: Vec<Outgoing>) -> (Vec<Prepared>, Vec<RecordFailure>) {
    let mut looked_up: HashMap<ChannelName, Option<Arc<Channel>>> = HashMap::new();
    let (mut prepared, mut failures) = (Vec::with_capacity(batch.len()), Vec::new());
    for (index, record) in batch.into_iter().enumerate() {
        match prepare_one(core, &mut looked_up, index, record).await {
            Ok(record) => prepared.push(record),
            Err(failure) => failures.push(RecordFailure { index, failure }),
        }
    }
    (prepared, failures)
}

async fn prepare_one(
    core: &Core,
    looked_up: &mut HashMap<ChannelName, Option<Arc<Channel>>>,
    index: usize,
    record: Outgoing,
) -> Result<Prepared, PublishFailure> {
    let channel = match looked_up.get(&record.channel) {
        Some(channel) => channel.clone(),
        None => {
            let channel = topology::resolve(core, &record.channel).await.map_err(unavailable)?;
            looked_up.insert(record.channel.clone(), channel.clone());
            channel
        }
    };
    let channel = channel.ok_or_else(|| PublishFailure::Unroutable(record.channel.clone()))?;
    check_size(&record, channel.max_record)?;
    let delay = record.delay.and_then(Delay::new);
    if let Some(delay) = delay {
        for group in &channel.groups {
            topology::ensure_level(core, &channel, group, delay.top()).await.map_err(unavailable)?;
        }
    }
    let partition = murmur::partition(&record.key, channel.partitions);
    let observed = core.members.is_observed(&channel.name);
    Ok(Prepared { index, channel, partition, delay, record, observed })
}

fn check_size(record: &Outgoing, limit: usize) -> Result<(), PublishFailure> {
    let too_large =
        |size, limit| if size > limit { Err(PublishFailure::TooLarge { size, limit }) } else { Ok(()) };
    let size = record.size();
    too_large(size, limit)?;
    too_large(size - record.value.len(), MAX_HEAD)?;
    let longest = record.headers.iter().map(|(name, _)| name.len()).max();
    too_large(longest.unwrap_or(0), MAX_NAME)
}

pub(crate) fn unavailable(error: RabbitFailure) -> PublishFailure {
    PublishFailure::Unavailable(error.into())
}
