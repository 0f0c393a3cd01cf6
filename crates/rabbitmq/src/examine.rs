//! A look at a broker and at the queues of channels, without declaring, consuming or publishing.

use std::sync::Arc;

use async_trait::async_trait;
use lapin::types::ShortString;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{ChannelSpec, Ensure, Examine, Setting};
use trunkline_core::{Examination, Fault};

use crate::connection::Address;
use crate::control::Control;
use crate::error::{ConnectError, RabbitFailure};
use crate::link::Link;
use crate::names::Names;
use crate::options::Options;
use crate::topology::partition_queues;

mod management;
mod policy;

use management::Management;

/// Examines a RabbitMQ broker by passive declarations and, where its address is known, by the management plugin's API.
#[derive(Debug)]
pub struct RabbitExaminer {
    options: Options,
    address: Address,
    names: Names,
}

impl RabbitExaminer {
    /// An examiner of the broker that the options name; nothing is contacted yet.
    ///
    /// # Errors
    /// [`ConnectError`] when the options can't be used.
    pub fn new(options: Options) -> Result<Self, ConnectError> {
        let address = Address::new(&options)?;
        Ok(Self { names: Names::new(&options.prefix), address, options })
    }
}

#[async_trait]
impl Examine for RabbitExaminer {
    async fn examine(&self, specs: &[ChannelSpec], mode: Ensure, found: &mut Examination<Setting>) {
        self.by_amqp(specs, mode, found).await;
        match &self.options.management {
            Some(url) => match Management::new(url, &self.options, &self.address) {
                Ok(management) => management.examine(&self.names, specs, found).await,
                Err(problem) => {
                    let remedy = "write http://HOST:15672 or https://HOST:15671";
                    found.error(Setting::Management, Fault::Unreachable, problem, remedy);
                }
            },
            None => found.unseen(
                "RabbitMQ's version, alarms, permissions, and policies (`message-ttl`, `expires`, `delivery-limit`, \
                 `max-length`) that would lose records: AMQP does not tell; name the management plugin's API in \
                 `broker.management`",
            ),
        }
    }
}

impl RabbitExaminer {
    async fn by_amqp(&self, specs: &[ChannelSpec], mode: Ensure, found: &mut Examination<Setting>) {
        let first = match self.address.open_first("doctor").await {
            Ok(connection) => connection,
            Err(error) => return unreachable(&error, found),
        };
        found.seen(format!("RabbitMQ at {}, virtual host `{}`", self.address.shown(), self.address.vhost()));
        let closing = CancellationToken::new();
        // The guard closes the connection also when the caller's patience ends first.
        let _closed = closing.clone().drop_guard();
        let pause = self.options.reconnect_pause;
        let link = Arc::new(Link::keep(self.address.clone(), "doctor", Some(first), pause, closing.clone()));
        let control = Control::new(link.clone());
        let mut there = 0;
        for spec in specs {
            match self.channel(&control, spec, mode, found).await {
                Ok(is_there) => there += usize::from(is_there),
                Err(error) => {
                    let problem = format!("channel `{}` can't be looked at: {error}", spec.name);
                    let remedy = "look into RabbitMQ's log for what it refused this user";
                    found.error(Setting::Address, Fault::Permission, problem, remedy);
                }
            }
        }
        found.seen(format!("{there} of {} channels are there", specs.len()));
        closing.cancel();
        link.closed().await;
    }

    /// Whether the channel is there; says what of it is not as configured.
    async fn channel(
        &self,
        control: &Control,
        spec: &ChannelSpec,
        mode: Ensure,
        found: &mut Examination<Setting>,
    ) -> Result<bool, RabbitFailure> {
        if !control.has_exchange(&self.names.channel(&spec.name)).await? {
            self.missing(spec, &self.names.channel(&spec.name), mode, found);
            return Ok(false);
        }
        for group in &spec.groups {
            let queues = partition_queues(&self.names, &spec.name, group, spec.partitions);
            let mut gone = Vec::new();
            for queue in &queues {
                if control.depth(queue).await?.is_none() {
                    gone.push(queue);
                }
            }
            let beyond = self.names.queue(&spec.name, group, spec.partitions);
            let more = control.depth(&beyond).await?.is_some();
            // Queues that are gone at the end mean that fewer were made; a gap means that one was deleted.
            let made = queues.len() - gone.len();
            let fewer = made > 0 && gone.iter().all(|queue| queues[made..].contains(queue));
            if more || (fewer && !gone.is_empty()) {
                let has = if more { format!("more than {}", spec.partitions) } else { made.to_string() };
                let wanted = spec.partitions;
                let problem =
                    format!("channel `{}` has {has} partitions, but {wanted} are configured", spec.name);
                let remedy = "write what exists, or follow \"Changing the number of partitions\" in docs/operations.md";
                found.error(Setting::Partitions, Fault::Differs, problem, remedy);
            } else if let Some(queue) = gone.first() {
                let problem = format!(
                    "queue `{queue}` of channel `{}` is gone: what belongs into it is not stored, and nothing is \
                     settled that should go there",
                    spec.name
                );
                let remedy = "start any process with `ensure: create`, which makes it again";
                found.error(Setting::Channels, Fault::Missing, problem, remedy);
            }
        }
        Ok(true)
    }

    fn missing(
        &self,
        spec: &ChannelSpec,
        exchange: &ShortString,
        mode: Ensure,
        found: &mut Examination<Setting>,
    ) {
        if mode == Ensure::Verify {
            let problem =
                format!("channel `{}` does not exist: there is no exchange `{exchange}`", spec.name);
            let remedy = "make it as docs/operations.md says, or let Trunkline make it with `ensure: create`";
            found.error(Setting::Ensure, Fault::Missing, problem, remedy);
        }
    }
}

fn unreachable(error: &ConnectError, found: &mut Examination<Setting>) {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let problem = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    match error {
        ConnectError::Refused { .. } => {
            let remedy = "check user, password and virtual host (`rabbitmqctl list_permissions -p VHOST`)";
            found.error(Setting::Address, Fault::Permission, problem, remedy);
        }
        ConnectError::Certificate { .. } => {
            found.error(Setting::Tls, Fault::Unreachable, problem, "name a file in PEM that can be read");
        }
        _ => {
            let remedy =
                "check that it runs, host and port, and whether it wants TLS (amqps://, `broker.tls`)";
            found.error(Setting::Address, Fault::Unreachable, problem, remedy);
        }
    }
}
