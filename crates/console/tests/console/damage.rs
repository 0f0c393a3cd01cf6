//! A damaged channel is told and stops no other.

use std::sync::Arc;

use trunkline_console::keeper;
use trunkline_sdk::async_trait::async_trait;
use trunkline_sdk::broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Intaken, Lag,
    LagError, Observer, Outgoing, PublishError, Settler, Start, TopologyError,
};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::service::Metrics;
use trunkline_sdk::testing::TestBus;
use trunkline_sdk::tokio;

use crate::made::dead;
use crate::world::{configuration, eventually};

/// The real engine, whose intakes first say that a channel is damaged.
struct Damaged {
    engine: Arc<dyn Broker>,
    channel: ChannelName,
}

struct DamagedIntake {
    engine: Box<dyn Intake>,
    untold: Option<ChannelName>,
}

#[async_trait]
impl Broker for Damaged {
    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        self.engine.ensure(specs, mode).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        self.engine.publish(batch).await
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        let (engine, settler) = self.engine.consume(channels, group, from).await?;
        Ok((Box::new(DamagedIntake { engine, untold: Some(self.channel.clone()) }), settler))
    }

    async fn observe(&self, channel: &ChannelName, from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        self.engine.observe(channel, from).await
    }

    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError> {
        self.engine.lag(channel, group).await
    }

    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError> {
        self.engine.remove(channel, force).await
    }
}

#[async_trait]
impl Intake for DamagedIntake {
    async fn next(&mut self) -> Result<Intaken, ConsumeError> {
        match self.untold.take() {
            Some(channel) => Err(ConsumeError::Damaged { channel, detail: "a flipped bit".to_owned() }),
            None => self.engine.next().await,
        }
    }

    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError> {
        self.engine.hold(channel, held).await
    }

    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        self.engine.add(channels).await
    }

    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        self.engine.remove(channels).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_channel_is_told_and_the_others_are_taken_in() {
    let metrics = Metrics::install().unwrap();
    let bus = TestBus::start(&configuration(""), trunkline_adapters::registry()).await.unwrap();
    let host = bus.host();
    let [crm, erp] = ["crm", "erp"].map(|name| ChannelName::dead(&DestinationName::parse(name).unwrap()));
    let broker = Arc::new(Damaged { engine: bus.broker(), channel: crm });
    let keeping = keeper::run(broker, bus.store(), host.configuration.clone(), host.shutdown.clone());
    let keeping = tokio::spawn(keeping);
    let letter = dead("1", "erp", 1);
    bus.broker().publish(vec![Outgoing::new(erp, Bytes::new(), letter.encode())]).await.unwrap();
    eventually("the other channel's dead letter is stored", async || {
        bus.store().dead_letter(&letter.id()).await.unwrap()
    })
    .await;
    assert!(metrics.render().contains("trunkline_channel_damaged{channel=\"dead.crm\"} 1"));
    host.shutdown.cancel();
    keeping.await.unwrap().unwrap();
}
