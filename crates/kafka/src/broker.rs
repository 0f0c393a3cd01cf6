//! The engine's front.

use std::sync::Arc;

use async_trait::async_trait;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Lag, LagError,
    Observer, Outgoing, PublishError, Settler, Start, TopologyError,
};

use crate::asker::Asker;
use crate::context::Common;
use crate::core::Core;
use crate::error::{ConnectError, KafkaFailure};
use crate::inbox::Inbox;
use crate::intake::KafkaIntake;
use crate::member::Member;
use crate::mover::Mover;
use crate::observer::KafkaObserver;
use crate::options::Options;
use crate::publisher::Publisher;
use crate::register::{Register, blocking};
use crate::settler::PlainSettler;
use crate::transaction::{TransactionalSettler, Transactions};
use crate::{keeper, lag, names, properties, settler, topology};

/// A Kafka cluster as a broker. Clones are handles to the same clients.
#[derive(Debug, Clone)]
pub struct KafkaBroker {
    core: Arc<Core>,
}

impl KafkaBroker {
    /// Connects to a cluster and reads what channels there are. With `transactional`, takes the transactional ids over
    /// from whichever process had them.
    ///
    /// # Errors
    /// [`ConnectError`] when the options can't be used or no broker answers.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        properties::check(&options)?;
        let options = Arc::new(options);
        let bootstrap = options.bootstrap.clone();
        let made = tokio::task::spawn_blocking(move || connect(&options)).await;
        let closed =
            || ConnectError::Unusable { bootstrap: bootstrap.clone(), cause: KafkaFailure::Closed.into() };
        let core = made.unwrap_or_else(|_| Err(closed()))?;
        core.register
            .refresh()
            .await
            .map_err(|cause| ConnectError::Unusable { bootstrap, cause: cause.into() })?;
        Ok(Self { core: Arc::new(core) })
    }

    /// Looks as if the process had been killed: nothing is sent, committed or said to the cluster any more. For tests of
    /// faults; what it leaves behind is freed when its session has ended, or with the process.
    pub fn abandon(&self) {
        self.core.close(true);
    }
}

/// Makes the clients, and asks the cluster whether it is there. Blocks.
fn connect(options: &Arc<Options>) -> Result<Core, ConnectError> {
    let property = |cause| match cause {
        rdkafka::error::KafkaError::ClientConfig(_, _, name, _) => ConnectError::Property(name),
        cause => ConnectError::Unreachable { bootstrap: options.bootstrap.clone(), cause },
    };
    let common = Common::new(options);
    let asker = Arc::new(Asker::new(options.clone(), common.clone()).map_err(property)?);
    asker.topics().map_err(|failure| match failure {
        KafkaFailure::Refused { cause, .. } => property(cause),
        cause => ConnectError::Unusable { bootstrap: options.bootstrap.clone(), cause: cause.into() },
    })?;
    let publisher = Publisher::start(options.clone(), common.clone()).map_err(property)?;
    let register = Register::start(options.clone(), common.clone(), asker.clone(), publisher.clone());
    let register = register.map_err(property)?;
    let transactions =
        if options.transactional { Some(Transactions::start(options, &common)?) } else { None };
    Ok(Core::new(options.clone(), common, asker, publisher, register, transactions))
}

#[async_trait]
impl Broker for KafkaBroker {
    fn capabilities(&self) -> Capabilities {
        let options = &self.core.options;
        Capabilities {
            atomic_hand_over: options.transactional,
            several_instances: true,
            max_record: options.max_record,
        }
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        topology::ensure(&self.core, specs, mode).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        settler::publish(&self.core, batch).await
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        let core = &self.core;
        let inbox = Arc::<Inbox>::default();
        for channel in core.declared(channels, group).await? {
            inbox.add_slot(core.slot(&channel, &inbox));
        }
        let fatal = |failure: KafkaFailure| ConsumeError::Fatal(failure.into());
        let member = {
            let (options, common) = (core.options.clone(), core.common.clone());
            let name = names::group(&options.prefix, group);
            let (epochs, inbox) = (core.epochs.clone(), inbox.clone());
            blocking(move || Member::start(options, common, name, from, epochs, inbox))
                .await
                .map_err(fatal)?
        };
        let intake = KafkaIntake::new(core.clone(), group.clone(), inbox.clone());
        core.add_member(group.clone(), &inbox);
        keeper::start(core);
        Mover::start(core).await.map_err(fatal)?;
        let settler: Arc<dyn Settler> = if core.transactions.is_some() {
            Arc::new(TransactionalSettler { core: core.clone(), consumer: Arc::downgrade(&member) })
        } else {
            Arc::new(PlainSettler { core: core.clone() })
        };
        Ok((Box::new(intake), settler))
    }

    async fn observe(&self, channel: &ChannelName, from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        let fatal = |failure: KafkaFailure| ConsumeError::Fatal(failure.into());
        let found = self.core.channel(channel).await.map_err(fatal)?;
        let found = found.ok_or_else(|| ConsumeError::UnknownChannel(channel.clone()))?;
        let core = self.core.clone();
        let observer = blocking(move || KafkaObserver::start(&core, &found, from)).await.map_err(fatal)?;
        Ok(Box::new(observer))
    }

    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError> {
        let unavailable = |failure: KafkaFailure| LagError::Unavailable(failure.into());
        let declared = self.core.declared(std::slice::from_ref(channel), group).await;
        let found = match declared.as_deref() {
            Ok([found]) => found.clone(),
            Err(ConsumeError::Fatal(_)) => {
                return Err(unavailable(KafkaFailure::Overdue("name its channels")));
            }
            _ => return Err(LagError::Unknown(channel.clone())),
        };
        lag::lag(&self.core, &found, group).await.map_err(unavailable)
    }

    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError> {
        topology::remove(&self.core, channel, force).await
    }

    async fn clear(&self) -> Result<(), TopologyError> {
        topology::clear(&self.core).await
    }

    async fn close(&self) {
        self.core.leave().await;
    }
}
