//! A bus of one's own: the embedded engine and a store in a temporary directory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{Broker, ChannelName, GroupName, Intaken, Outgoing, Received, Start};
use trunkline_core::config::{Diagnostics, parse};
use trunkline_core::{DeadLetter, Delivery, DestinationName, Event};
use trunkline_store::Store;

use super::Failure;
use crate::accepted::accepted;
use crate::config::Shared;
use crate::registry::Adapters;
use crate::service::{Admin, Host, HostParts, Metrics};

/// A bus in a temporary directory, which is removed with it.
pub struct TestBus {
    host: Host,
    configuration: watch::Sender<Arc<Shared>>,
    folder: TempDir,
}

impl TestBus {
    /// A bus with the channels of a configuration. Its `broker` and `store` may be left out; relative paths start in the
    /// temporary directory.
    ///
    /// # Errors
    /// What is wrong with the configuration, or why the engine or the store does not open.
    pub async fn start(configuration: &str, adapters: Adapters) -> Result<Self, Failure> {
        Self::in_folder(tempfile::tempdir()?, configuration, adapters).await
    }

    /// As [`TestBus::start`], in a directory that a bus had before.
    ///
    /// # Errors
    /// As [`TestBus::start`].
    pub async fn in_folder(
        folder: TempDir,
        configuration: &str,
        adapters: Adapters,
    ) -> Result<Self, Failure> {
        let shared = read(configuration, folder.path())?;
        let (sender, receiver) = watch::channel(Arc::new(shared));
        let host = Host::open(HostParts {
            configuration: receiver,
            adapters,
            admin: Admin::new(Metrics::install()?),
            instance: "test".to_owned(),
            service: "bus".to_owned(),
            shutdown: CancellationToken::new(),
            grace: Duration::from_secs(5),
            wait: Duration::ZERO,
        })
        .await?;
        Ok(Self { host, configuration: sender, folder })
    }

    /// Closes the bus and keeps its directory, for a process of its own. Every [`Host`] given out must be gone.
    pub async fn close(self) -> TempDir {
        self.host.store.close().await;
        self.folder
    }

    /// What a service under test is given. `host().shutdown` stops it.
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// The broker.
    pub fn broker(&self) -> Arc<dyn Broker> {
        self.host.broker.clone()
    }

    /// The store.
    pub fn store(&self) -> Store {
        self.host.store.clone()
    }

    /// Where everything is kept, and where relative paths of the configuration start.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Changes the configuration under the services' feet, as a changed file would.
    ///
    /// # Errors
    /// What is wrong with it, or with its channels; nothing is changed then.
    pub async fn reconfigure(&self, configuration: &str) -> Result<(), Failure> {
        let shared = read(configuration, self.folder())?;
        crate::service::ensure_channels(&*self.host.broker, &shared).await?;
        self.configuration.send_replace(Arc::new(shared));
        Ok(())
    }

    /// Puts an event on `events`, as a gateway does.
    ///
    /// # Errors
    /// The engine's.
    pub async fn publish(&self, event: &Event) -> Result<(), Failure> {
        Ok(self.host.broker.publish(vec![accepted(event, "gateway")]).await?)
    }

    /// Puts a delivery on the channel of its destination, as a router does.
    ///
    /// # Errors
    /// The engine's, or that the destination's name is none.
    pub async fn deliver(&self, delivery: &Delivery) -> Result<(), Failure> {
        let channel = ChannelName::deliver(&DestinationName::parse(&delivery.destination)?);
        let record = Outgoing::new(channel, delivery.event.key(), delivery.encode());
        Ok(self.host.broker.publish(vec![record]).await?)
    }

    /// Takes and settles `count` deliveries that wait for a destination, as a dispatcher that always succeeds.
    ///
    /// # Errors
    /// As [`TestBus::drain`], or that a record is no delivery.
    pub async fn deliveries(
        &self,
        destination: &str,
        count: usize,
        within: Duration,
    ) -> Result<Vec<Delivery>, Failure> {
        let channel = ChannelName::deliver(&DestinationName::parse(destination)?);
        let records = self.drain(&channel, &GroupName::dispatcher(), count, within).await?;
        records.into_iter().map(|record| Ok(Delivery::decode(record)?)).collect()
    }

    /// Takes and settles `count` dead letters of a destination.
    ///
    /// # Errors
    /// As [`TestBus::drain`], or that a record is no dead letter.
    pub async fn dead_letters(
        &self,
        destination: &str,
        count: usize,
        within: Duration,
    ) -> Result<Vec<DeadLetter>, Failure> {
        let channel = ChannelName::dead(&DestinationName::parse(destination)?);
        let records = self.drain(&channel, &GroupName::console(), count, within).await?;
        records.into_iter().map(|record| Ok(DeadLetter::decode(record)?)).collect()
    }

    /// Takes and settles `count` records of a channel and gives their values, in the order of each partition.
    ///
    /// # Errors
    /// The engine's, or that fewer came within the time; none are settled then.
    pub async fn drain(
        &self,
        channel: &ChannelName,
        group: &GroupName,
        count: usize,
        within: Duration,
    ) -> Result<Vec<bytes::Bytes>, Failure> {
        let channels = [channel.clone()];
        let (mut intake, settler) = self.host.broker.consume(&channels, group, Start::Oldest).await?;
        let mut received: Vec<Received> = Vec::new();
        let deadline = tokio::time::Instant::now() + within;
        while received.len() < count {
            let news = tokio::time::timeout_at(deadline, intake.next()).await.map_err(|_elapsed| {
                format!("{} of {count} records came on `{channel}` in {within:?}", received.len())
            })?;
            if let Intaken::Batch(batch) = news? {
                received.extend(batch);
            }
        }
        // What is more than asked for goes back.
        received.truncate(count);
        let (receipts, values) = received.into_iter().map(|record| (record.receipt, record.value)).unzip();
        settler.hand_over(receipts, Vec::new()).await?;
        Ok(values)
    }
}

fn read(configuration: &str, folder: &Path) -> Result<Shared, Failure> {
    let root = parse("test.yaml", configuration).map_err(|diagnostic| diagnostic.to_string())?;
    let mut diagnostics = Diagnostics::new();
    let shared = Shared::read(root, folder, &mut diagnostics);
    shared.ok_or_else(|| crate::service::ServiceError::Configuration(diagnostics).into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::super::{delivery, sample_event};
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_goes_in_comes_out() {
        let configuration = "version: 1\ndestinations: { sample: { external: true } }";
        let bus = TestBus::start(configuration, Adapters::new()).await.unwrap();
        bus.publish(&sample_event()).await.unwrap();
        let events = bus.drain(&ChannelName::events(), &GroupName::router(), 1, SOON).await.unwrap();
        assert_eq!(Event::decode(events[0].clone()).unwrap(), sample_event());

        bus.deliver(&delivery(sample_event())).await.unwrap();
        assert_eq!(bus.deliveries("sample", 1, SOON).await.unwrap(), [delivery(sample_event())]);
        let none = bus.deliveries("sample", 1, Duration::from_millis(50)).await.unwrap_err();
        assert!(none.to_string().starts_with("0 of 1 records came on `deliver.sample`"), "{none}");

        bus.reconfigure("version: 1\ndestinations: { other: { external: true } }").await.unwrap();
        assert_eq!(bus.host().configuration.borrow().destinations.len(), 1);
        assert!(bus.reconfigure("version: 9").await.is_err());
    }
}
