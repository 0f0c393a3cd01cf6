//! Where most cases begin: one channel `in`, one group, the first instance.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::broker::{Broker, Ensure, Lag};
use crate::channel::{ChannelName, ChannelSpec, GroupName, Keep};
use crate::record::Outgoing;

use super::consumer::Consumer;
use super::fixture::Fixture;

/// The longest record of a channel that a case declares, in bytes.
pub const MAX_RECORD: usize = 4096;

/// A channel with one group.
pub struct Stage<'f, F> {
    /// The fixture.
    pub f: &'f F,
    /// The first instance, as of the last [`Stage::reopen`].
    pub broker: Arc<dyn Broker>,
    /// `in`.
    pub channel: ChannelName,
    /// `workers`.
    pub group: GroupName,
}

impl<'f, F: Fixture> Stage<'f, F> {
    /// Declares the channel with so many partitions.
    pub async fn set(f: &'f F, partitions: u16) -> Self {
        let stage = Self { f, broker: f.broker().await, channel: channel("in"), group: group("workers") };
        ensure(&stage.broker, &[spec(&stage.channel, partitions, &[&stage.group])]).await;
        stage
    }

    /// Declares one more channel with one partition for the same group.
    pub async fn another(&self, name: &str) -> ChannelName {
        let channel = channel(name);
        ensure(&self.broker, &[spec(&channel, 1, &[&self.group])]).await;
        channel
    }

    /// Another consumer of the channel, in the first instance.
    pub async fn consumer(&self) -> Consumer {
        self.consumer_of(std::slice::from_ref(&self.channel)).await
    }

    /// Another consumer of the group on these channels, in the first instance.
    pub async fn consumer_of(&self, channels: &[ChannelName]) -> Consumer {
        Consumer::join(self.f, &self.broker, channels, &self.group).await
    }

    /// A consumer of the channel in the other instance (or the same, where there is only one).
    pub async fn other_consumer(&self) -> Consumer {
        let broker = self.f.other_broker().await;
        Consumer::join(self.f, &broker, std::slice::from_ref(&self.channel), &self.group).await
    }

    /// Publishes; fails the case when that fails.
    pub async fn publish(&self, batch: Vec<Outgoing>) {
        publish(&self.broker, batch).await;
    }

    /// Takes the first instance anew, after a restart or a crash.
    pub async fn reopen(&mut self) {
        self.broker = self.f.broker().await;
    }

    /// How many records the group has still to settle on a channel.
    pub async fn lag_of(&self, channel: &ChannelName) -> u64 {
        let lag = self.broker.lag(channel, &self.group).await.expect("the lag of a declared group");
        Lag::total(&lag).0
    }

    /// Waits until the group has exactly so many records to settle on the channel `in`.
    pub async fn expect_lag(&self, records: u64) {
        self.expect_lag_of(&self.channel, records).await;
    }

    /// Lets a consumer take and settle what still comes (again), until nothing is left to settle on the channel `in`. A
    /// hand-over that a restart or a lost lease spoiled leaves its records unsettled, though they have been seen.
    pub async fn settle_rest(&self, consumer: &mut Consumer) {
        let rest = async {
            loop {
                let records = consumer.step().await.expect("an intake that nothing disturbed goes on");
                if !records.is_empty() {
                    consumer.settle(records).await;
                }
            }
        };
        tokio::select! {
            () = self.expect_lag(0) => {}
            () = rest => {}
        }
    }

    /// Waits until the group has exactly so many records to settle on a channel.
    pub async fn expect_lag_of(&self, channel: &ChannelName, records: u64) {
        let deadline = Instant::now() + self.f.patience();
        loop {
            let lag = self.lag_of(channel).await;
            if lag == records {
                return;
            }
            assert!(Instant::now() < deadline, "the lag of `{channel}` stays {lag} instead of {records}");
            sleep(self.f.quiet() / 20).await;
        }
    }
}

/// A channel's name.
pub fn channel(name: &str) -> ChannelName {
    ChannelName::parse(name).expect("cases name their channels properly")
}

/// A group's name.
pub fn group(name: &str) -> GroupName {
    GroupName::parse(name).expect("cases name their groups properly")
}

/// A channel that keeps its records until they are settled.
pub fn spec(name: &ChannelName, partitions: u16, groups: &[&GroupName]) -> ChannelSpec {
    ChannelSpec {
        name: name.clone(),
        partitions,
        groups: groups.iter().map(|group| (*group).clone()).collect(),
        keep: Keep::UntilSettled,
        max_record: MAX_RECORD,
    }
}

/// Creates channels; fails the case when that fails.
pub async fn ensure(broker: &Arc<dyn Broker>, specs: &[ChannelSpec]) {
    broker.ensure(specs, Ensure::Create).await.expect("creating channels in a fresh broker");
}

/// Publishes; fails the case when that fails.
pub async fn publish(broker: &Arc<dyn Broker>, batch: Vec<Outgoing>) {
    broker.publish(batch).await.expect("a publish that nothing disturbed succeeds");
}
