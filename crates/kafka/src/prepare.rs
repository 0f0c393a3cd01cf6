//! Records on their way out: known channels, sizes that fit, and where a delayed one waits first.

use std::sync::Arc;

use bytes::Bytes;
use trunkline_broker::{ChannelName, Outgoing, PublishFailure, RecordFailure};

use crate::catalog::Channel;
use crate::core::{Core, now};
use crate::delay::{DUE_HEADER, REST_HEADER, Wait};
use crate::error::KafkaFailure;
use crate::publisher::Ready;

/// A batch as it can be sent, with each record's index in what was given, and what can't be sent.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) ready: Vec<Ready>,
    pub(crate) indices: Vec<usize>,
    pub(crate) failures: Vec<RecordFailure>,
}

/// Looks up every record's channel and judges its size.
pub(crate) async fn prepare(core: &Arc<Core>, batch: Vec<Outgoing>) -> Prepared {
    let mut prepared = Prepared {
        ready: Vec::with_capacity(batch.len()),
        indices: Vec::with_capacity(batch.len()),
        failures: Vec::new(),
    };
    // Neighbours mostly have the same channel.
    let mut last: Option<Arc<Channel>> = None;
    for (index, outgoing) in batch.into_iter().enumerate() {
        let found = match last.take() {
            Some(channel) if channel.name == outgoing.channel => Ok(channel),
            _ => find(core, &outgoing.channel).await,
        };
        let delayed = outgoing.delay.is_some_and(|delay| !delay.is_zero());
        let fits = match found {
            Ok(channel) => fits(core, &channel, &outgoing, delayed).map(|()| channel),
            Err(failure) => Err(failure),
        };
        let able = match fits {
            Ok(channel) if delayed && !channel.delayed => crate::mover::begin_delaying(core, &channel).await,
            other => other,
        };
        match able {
            Ok(channel) => {
                prepared.ready.push(ready(&channel, outgoing, delayed));
                prepared.indices.push(index);
                last = Some(channel);
            }
            Err(failure) => prepared.failures.push(RecordFailure { index, failure }),
        }
    }
    prepared
}

async fn find(core: &Core, name: &ChannelName) -> Result<Arc<Channel>, PublishFailure> {
    match core.channel(name).await {
        Ok(Some(channel)) => Ok(channel),
        Ok(None) => Err(PublishFailure::Unroutable(name.clone())),
        Err(failure) => Err(unavailable(failure)),
    }
}

fn fits(core: &Core, channel: &Channel, outgoing: &Outgoing, delayed: bool) -> Result<(), PublishFailure> {
    let topic = if delayed { &channel.delay_topic } else { &channel.topic };
    let limit = core.narrowed.limit(topic).map_or(channel.max_record, |found| found.min(channel.max_record));
    let size = outgoing.size();
    if size > limit { Err(PublishFailure::TooLarge { size, limit }) } else { Ok(()) }
}

fn ready(channel: &Channel, outgoing: Outgoing, delayed: bool) -> Ready {
    let Outgoing { key, mut headers, value, delay, .. } = outgoing;
    let (mut topic, mut partition) = (&channel.topic, None);
    if let Some(delay) = delay.filter(|_| delayed) {
        let (step, wait) = Wait::begin(delay, now());
        let (due, rest) = wait.write();
        headers.push((DUE_HEADER.to_owned(), Bytes::from(due)));
        headers.push((REST_HEADER.to_owned(), Bytes::from(rest)));
        (topic, partition) = (&channel.delay_topic, Some(i32::from(step)));
    }
    Ready { topic: topic.clone(), partition, key, headers, value: Some(value) }
}

pub(crate) fn unavailable(failure: KafkaFailure) -> PublishFailure {
    PublishFailure::Unavailable(failure.into())
}
