//! The engine's front: the port's operations.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{
    Broker, Capabilities, ChannelName, ChannelSpec, ConsumeError, Ensure, GroupName, Intake, Lag, LagError,
    Observer, Outgoing, PublishError, Settler, Start, TopologyError,
};

use crate::catalog::Catalog;
use crate::connection::Address;
use crate::consume::intake::RabbitIntake;
use crate::consume::links::ConsumerLinks;
use crate::control::Control;
use crate::core::Core;
use crate::error::{ConnectError, RabbitFailure};
use crate::lag::lag;
use crate::link::Link;
use crate::members::Members;
use crate::names::Names;
use crate::news::{self, Asking};
use crate::observer::RabbitObserver;
use crate::options::Options;
use crate::publish::{Publisher, prepare};
use crate::sequence::Sequence;
use crate::settler::RabbitSettler;
use crate::topology::{self, unavailable};

/// A RabbitMQ broker, or a virtual host of one, as one process sees it. Clones are handles to the same one; its connections
/// are closed with the last, or by [`Self::close`].
#[derive(Debug, Clone)]
pub struct RabbitBroker {
    engine: Arc<Engine>,
}

#[derive(Debug)]
struct Engine {
    core: Arc<Core>,
}

impl RabbitBroker {
    /// Connects. Must be called within a tokio runtime, which then runs the engine's tasks. Later, broken connections are
    /// opened again without end.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        if options.prefix.len() > Names::MAX_PREFIX {
            return Err(ConnectError::Prefix(Names::MAX_PREFIX));
        }
        let address = Address::new(&options)?;
        let first = address.open_first("control").await?;
        let closing = CancellationToken::new();
        let pause = options.reconnect_pause;
        let control = Link::keep(address.clone(), "control", Some(first), pause, closing.clone());
        let publishing = Arc::new(Link::keep(address.clone(), "publish", None, pause, closing.clone()));
        let publisher = Publisher::start(publishing, &options, closing.clone());
        let (asking, questions) = Asking::new();
        let core = Arc::new(Core {
            names: Names::new(&options.prefix),
            catalog: Catalog::default(),
            control: Control::new(Arc::new(control)),
            publisher,
            members: Members::new(),
            asking,
            links: ConsumerLinks::new(address, pause, closing.clone()),
            closing,
            runtime: Handle::current(),
            numbers: Mutex::new(Sequence::new()),
            moving: AtomicBool::new(false),
            options,
        });
        tokio::spawn(news::run(core.clone(), questions));
        Ok(Self { engine: Arc::new(Engine { core }) })
    }

    /// Leaves all groups and closes the connections. Intakes, observers and settlers that are left answer with errors from
    /// then on; what they have in hand is handed out again, to others.
    pub async fn close(&self) {
        let core = &self.engine.core;
        core.closing.cancel();
        core.control.link.closed().await;
        core.publisher.link.closed().await;
        for link in core.links.all() {
            link.closed().await;
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.core.closing.cancel();
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    fn capabilities(&self) -> Capabilities {
        let max_record = self.engine.core.options.max_record;
        Capabilities { atomic_hand_over: false, several_instances: true, max_record }
    }

    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        topology::ensure(&self.engine.core, specs, mode).await
    }

    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError> {
        let core = &self.engine.core;
        let until = Instant::now() + core.options.publish_patience;
        let (prepared, mut failures) = prepare(core, batch).await;
        failures.extend(core.publisher.publish(prepared, until).await);
        if failures.is_empty() {
            return Ok(());
        }
        failures.sort_by_key(|failed| failed.index);
        Err(PublishError { failures })
    }

    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        _from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError> {
        let core = &self.engine.core;
        if core.closing.is_cancelled() {
            return Err(ConsumeError::Fatal(RabbitFailure::Closed.into()));
        }
        let mut intake = RabbitIntake::new(core.clone(), group.clone());
        intake.join(channels).await?;
        Ok((Box::new(intake), Arc::new(RabbitSettler { core: core.clone() })))
    }

    async fn observe(&self, channel: &ChannelName, _from: Start) -> Result<Box<dyn Observer>, ConsumeError> {
        let core = &self.engine.core;
        let fatal = |error: RabbitFailure| ConsumeError::Fatal(error.into());
        let found = topology::resolve(core, channel).await.map_err(fatal)?;
        let found = found.ok_or_else(|| ConsumeError::UnknownChannel(channel.clone()))?;
        Ok(Box::new(RabbitObserver::open(core.clone(), found).await.map_err(fatal)?))
    }

    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError> {
        let core = &self.engine.core;
        let failed = |error: RabbitFailure| LagError::Unavailable(error.into());
        let unknown = || LagError::Unknown(channel.clone());
        let found = topology::resolve(core, channel).await.map_err(failed)?.ok_or_else(unknown)?;
        let group = found.group(group).ok_or_else(unknown)?;
        lag(core, &found, group).await.map_err(failed)?.ok_or_else(unknown)
    }

    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError> {
        let core = &self.engine.core;
        // Other processes may have added groups and delay levels.
        topology::refresh(core).await.map_err(unavailable)?;
        let found = topology::resolve(core, channel).await.map_err(unavailable)?;
        let found = found.ok_or_else(|| TopologyError::Missing(channel.clone()))?;
        if !force {
            let mut most = 0;
            for group in &found.groups {
                let lags = lag(core, &found, group).await.map_err(unavailable)?.unwrap_or_default();
                most = most.max(Lag::total(&lags).0);
            }
            if most > 0 {
                return Err(TopologyError::NotEmpty { channel: channel.clone(), records: most });
            }
        }
        topology::remove(core, &found).await
    }

    async fn clear(&self) -> Result<(), TopologyError> {
        topology::clear(&self.engine.core).await
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}
