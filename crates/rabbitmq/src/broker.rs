//! The engine's front.

use std::sync::Arc;

use async_trait::async_trait;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Lag, LagError,
    Observer, Outgoing, PublishError, PublishFailure, RecordFailure, Settler, Start, TopologyError,
};

use crate::connection::Address;
use crate::error::{ConnectError, RabbitFailure};
use crate::options::Options;

/// A RabbitMQ broker, or a virtual host of a cluster, as one process sees it. Clones are handles to the same one; its
/// connections are closed with the last, or by [`Self::close`].
#[derive(Debug, Clone)]
pub struct RabbitBroker {
    engine: Arc<Engine>,
}

#[derive(Debug)]
struct Engine {
    options: Options,
}

impl RabbitBroker {
    /// Connects. Must be called within a tokio runtime, which then runs the engine's tasks. Later, broken connections are
    /// opened again without end.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        Address::new(&options)?.open_first("control").await?;
        Ok(Self { engine: Arc::new(Engine { options }) })
    }

    /// Leaves all groups and closes the connections. Intakes, observers and settlers that are left answer with errors from
    /// then on.
    pub async fn close(&self) {}
}

#[async_trait]
impl Broker for RabbitBroker {
    fn capabilities(&self) -> Capabilities {
        let max_record = self.engine.options.max_record;
        Capabilities { atomic_hand_over: false, several_instances: true, max_record }
    }

    async fn ensure(&self, _specs: &[ChannelSpec], _mode: Ensure) -> Result<(), TopologyError> {
        Err(TopologyError::Unavailable(RabbitFailure::Closed.into()))
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let failure = |index| {
            let failure = PublishFailure::Unavailable(RabbitFailure::Closed.into());
            RecordFailure { index, failure }
        };
        if batch.is_empty() {
            return Ok(());
        }
        Err(PublishError { failures: (0..batch.len()).map(failure).collect() })
    }

    async fn consume(
        &self,
        _channels: &[ChannelName],
        _group: &GroupName,
        _from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        Err(ConsumeError::Fatal(RabbitFailure::Closed.into()))
    }

    async fn observe(&self, _channel: &ChannelName, _from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        Err(ConsumeError::Fatal(RabbitFailure::Closed.into()))
    }

    async fn lag(&self, _channel: &ChannelName, _group: &GroupName) -> Result<Vec<Lag>, LagError> {
        Err(LagError::Unavailable(RabbitFailure::Closed.into()))
    }

    async fn remove(&self, _channel: &ChannelName, _force: bool) -> Result<(), TopologyError> {
        Err(TopologyError::Unavailable(RabbitFailure::Closed.into()))
    }
}
