//! A broker that counts what fails.

use std::sync::Arc;

use async_trait::async_trait;
use metrics::counter;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, HandOverError, Intake,
    Lag, LagError, Observer, Outgoing, PublishError, PublishFailure, Receipt, Settler, Start, TopologyError,
};

use crate::metric;

/// Passes everything on to an engine and counts failures. Durations are the services' to measure: they know what a
/// batch is.
pub(super) struct Metered<B>(pub(super) B);

struct MeteredSettler {
    inner: Arc<dyn Settler>,
    group: GroupName,
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

fn word(failure: &PublishFailure) -> &'static str {
    match failure {
        PublishFailure::TooLarge { .. } => "too_large",
        PublishFailure::Unroutable(_) => "unroutable",
        PublishFailure::Full(_) => "full",
        PublishFailure::Unavailable(_) => "unavailable",
    }
}
