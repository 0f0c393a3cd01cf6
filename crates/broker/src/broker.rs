//! The port itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::channel::{ChannelName, ChannelSpec, GroupName};
use crate::error::{ConsumeError, LagError, PublishError, TopologyError};
use crate::intake::Intake;
use crate::record::{Outgoing, Received};
use crate::settler::Settler;

/// What an engine can do beyond the port's minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// `hand_over` publishes and settles in one transaction.
    pub atomic_hand_over: bool,
    /// Several processes may use the same broker.
    pub several_instances: bool,
    /// The longest record in bytes that any channel can take.
    pub max_record: usize,
}

/// Whether [`Broker::ensure`] may create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensure {
    /// Create what is missing.
    Create,
    /// Only look; a missing channel is an error (for brokers with strict permissions).
    Verify,
}

/// Where an intake or observer begins when its group has no place yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record kept.
    Oldest,
    /// After the newest.
    Newest,
}

/// How far a group is behind in one partition. Delayed records may all be counted in one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// From 0.
    pub partition: u16,
    /// Records stored and not settled by the group, delayed and handed-out ones included. Where an engine commits only
    /// prefixes, what was settled out of order counts until the gap before it closes.
    pub records: u64,
    /// Age of the oldest of them.
    pub oldest: Option<Duration>,
}

impl Lag {
    /// All partitions taken together: records, and the age of the oldest.
    pub fn total(partitions: &[Lag]) -> (u64, Option<Duration>) {
        let records = partitions.iter().map(|lag| lag.records).sum();
        (records, partitions.iter().filter_map(|lag| lag.oldest).max())
    }
}

/// A broker, through its engine.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// What the engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Creates what is missing, or only verifies it. Channels that exist as asked are left alone; groups that a
    /// channel lacks are added (they begin at its oldest record kept).
    ///
    /// # Errors
    /// [`TopologyError::Mismatch`] when a channel exists with other settings; it is never changed silently.
    async fn ensure(&self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError>;

    /// Stores records. `Ok` only when every one is stored durably in every group that must get it, in the order of the
    /// batch within each partition.
    ///
    /// # Errors
    /// [`PublishError`] names by index each record that is not known to be stored, with its class; all others are.
    async fn publish(&self, batch: Vec<Outgoing>) -> Result<(), PublishError>;

    /// Joins a group on many channels at once: one client, however many channels.
    ///
    /// # Errors
    /// [`ConsumeError`] when a channel does not exist or does not declare the group.
    async fn consume(
        &self,
        channels: &[ChannelName],
        group: &GroupName,
        from: Start,
    ) -> Result<(Box<dyn Intake>, Arc<dyn Settler>), ConsumeError>;

    /// Looks at a channel without a group; settles nothing, takes nothing away from anyone.
    ///
    /// # Errors
    /// [`ConsumeError`] when the channel does not exist.
    async fn observe(&self, channel: &ChannelName, from: Start) -> Result<Box<dyn Observer>, ConsumeError>;

    /// How far `group` is behind on `channel`, per partition.
    ///
    /// # Errors
    /// [`LagError`].
    async fn lag(&self, channel: &ChannelName, group: &GroupName) -> Result<Vec<Lag>, LagError>;

    /// Removes a channel and its records; only an empty one unless `force`.
    ///
    /// # Errors
    /// [`TopologyError::NotEmpty`] without `force`.
    async fn remove(&self, channel: &ChannelName, force: bool) -> Result<(), TopologyError>;

    /// Removes what the engine keeps beside channels: catalogs, groups, exchanges. For a guest with a prefix of its own that
    /// has removed all its channels; nobody else may be using them.
    ///
    /// # Errors
    /// [`TopologyError::Unavailable`].
    async fn clear(&self) -> Result<(), TopologyError> {
        Ok(())
    }

    /// Leaves every group, so that other instances take over at once, and closes the connections. For the end of a process,
    /// after its intakes were dropped; what is used afterwards answers with errors. Returns when it is done; dropping its
    /// future cuts it short, and others then take over when the broker has noticed.
    async fn close(&self) {}
}

/// Looks at a channel's records; their receipts mean nothing.
#[async_trait]
pub trait Observer: Send {
    /// The next records, at least one; waits for them. Cancel-safe.
    ///
    /// # Errors
    /// [`ConsumeError`] ends it.
    async fn next(&mut self) -> Result<Vec<Received>, ConsumeError>;
}
