//! A broker that counts what fails, and which leases come and go.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use metrics::{counter, gauge};
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, HandOverError, Intake,
    Intaken, Lag, LagError, Lease, Observer, Outgoing, PublishError, PublishFailure, Receipt, Settler, Start,
    TopologyError,
};

use crate::metric;

/// What [`word`] has words for.
const FAILURES: [&str; 4] = ["too_large", "unroutable", "full", "unavailable"];

/// Passes everything on to an engine and counts failures. Durations are the services' to measure: they know what a
/// batch is. Every series begins at zero, so that the first failure is a growth.
pub(super) struct Metered<B>(B);

struct MeteredIntake {
    inner: Box<dyn Intake>,
    group: GroupName,
    /// Partitions whose lease is ending as it should.
    revoking: HashSet<(ChannelName, u16)>,
}

struct MeteredSettler {
    inner: Arc<dyn Settler>,
    group: GroupName,
}

impl<B> Metered<B> {
    pub(super) fn new(engine: B) -> Self {
        for failure in FAILURES {
            counter!(metric::PUBLISH_FAILURES, "failure" => failure).increment(0);
        }
        Self(engine)
    }
}

#[async_trait]
impl<B: Broker> Broker for Metered<B> {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        self.0.ensure(specs, mode).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        self.0.publish(batch).await.inspect_err(|error| {
            for failure in &error.failures {
                counter!(metric::PUBLISH_FAILURES, "failure" => word(&failure.failure)).increment(1);
            }
        })
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        let (intake, inner) = self.0.consume(channels, group, from).await?;
        for channel in channels {
            // One that was found damaged stays so.
            gauge!(metric::CHANNEL_DAMAGED, "channel" => channel.to_string()).increment(0.0);
        }
        for failure in ["refused", "unavailable", "fenced"] {
            let service = group.as_str().to_owned();
            counter!(metric::HAND_OVER_FAILURES, "service" => service, "failure" => failure).increment(0);
        }
        let intake =
            Box::new(MeteredIntake { inner: intake, group: group.clone(), revoking: HashSet::new() });
        Ok((intake, Arc::new(MeteredSettler { inner, group: group.clone() })))
    }

    async fn observe(&self, channel: &ChannelName, from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        self.0.observe(channel, from).await
    }

    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError> {
        self.0.lag(channel, group).await
    }

    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError> {
        self.0.remove(channel, force).await
    }

    async fn clear(&self) -> Result<(), TopologyError> {
        self.0.clear().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Settler for MeteredSettler {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        self.inner.hand_over(inputs, outputs).await.inspect_err(|error| {
            let failure = match error {
                HandOverError::Refused { .. } => "refused",
                HandOverError::Unavailable { .. } => "unavailable",
                HandOverError::Fenced => "fenced",
            };
            // Groups are named after the service that makes them up.
            let service = self.group.as_str().to_owned();
            counter!(metric::HAND_OVER_FAILURES, "service" => service, "failure" => failure).increment(1);
        })
    }
}

#[async_trait]
impl Intake for MeteredIntake {
    async fn next(&mut self) -> Result<Intaken, ConsumeError> {
        let news = self.inner.next().await;
        match &news {
            Ok(Intaken::Assigned(lease)) => {
                self.revoking.remove(&place(lease));
                self.count(lease, "assigned");
            }
            Ok(Intaken::Revoking(lease, _until)) => {
                self.revoking.insert(place(lease));
                self.count(lease, "revoked");
            }
            Ok(Intaken::Lost(lease)) if !self.revoking.remove(&place(lease)) => self.count(lease, "lost"),
            Ok(_) | Err(_) => {}
        }
        news
    }

    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError> {
        self.inner.hold(channel, held).await
    }

    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        self.inner.add(channels).await
    }

    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        self.inner.remove(channels).await
    }
}

impl MeteredIntake {
    fn count(&self, lease: &Lease, change: &'static str) {
        let (channel, group) = (lease.channel.as_str().to_owned(), self.group.as_str().to_owned());
        counter!(metric::LEASE_CHANGES, "channel" => channel, "group" => group, "change" => change)
            .increment(1);
    }
}

fn place(lease: &Lease) -> (ChannelName, u16) {
    (lease.channel.clone(), lease.partition)
}

fn word(failure: &PublishFailure) -> &'static str {
    match failure {
        PublishFailure::TooLarge { .. } => "too_large",
        PublishFailure::Unroutable(_) => "unroutable",
        PublishFailure::Full(_) => "full",
        PublishFailure::Unavailable(_) => "unavailable",
    }
}
