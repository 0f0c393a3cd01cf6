//! Channels, records and directories for the tests.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;
use trunkline_broker::{
    Broker, ChannelName, ChannelSpec, Ensure, GroupName, Intake, Intaken, Keep, Outgoing, PublishFailure,
    Received,
};
use trunkline_embedded::{EmbeddedBroker, Options};

pub(crate) fn channel() -> ChannelName {
    ChannelName::parse("events").unwrap()
}

pub(crate) fn group() -> GroupName {
    GroupName::parse("router").unwrap()
}

pub(crate) fn spec(keep: Keep) -> ChannelSpec {
    ChannelSpec { name: channel(), partitions: 2, groups: vec![group()], keep, max_record: 1 << 20 }
}

pub(crate) fn record(number: u64, bytes: usize) -> Outgoing {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(bytes.max(8), 7);
    Outgoing::new(channel(), format!("key-{}", number % 5).into(), value.into())
}

pub(crate) fn number(received: &Received) -> u64 {
    u64::from_le_bytes(received.value[..8].try_into().unwrap())
}

/// A small, quick engine with the one channel.
pub(crate) async fn open(directory: &Path, options: Options, keep: Keep) -> EmbeddedBroker {
    let broker = EmbeddedBroker::open(directory, options).unwrap();
    broker.ensure(&[spec(keep)], Ensure::Create).await.unwrap();
    broker
}

pub(crate) fn options() -> Options {
    Options { wal_bytes: 256 << 10, ..Options::default() }
}

/// Why a single record was not stored.
pub(crate) async fn try_publish(broker: &EmbeddedBroker, record: Outgoing) -> Result<(), PublishFailure> {
    let published = broker.publish(vec![record]).await;
    published.map_err(|mut error| error.failures.remove(0).failure)
}

/// All that comes until nothing comes for a while.
pub(crate) async fn take_all(intake: &mut dyn Intake) -> Vec<Received> {
    let mut taken = Vec::new();
    while let Ok(news) = timeout(Duration::from_millis(400), intake.next()).await {
        if let Intaken::Batch(batch) = news.unwrap() {
            taken.extend(batch);
        }
    }
    taken
}
