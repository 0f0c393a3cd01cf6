//! Taking records in.

use std::time::Instant;

use async_trait::async_trait;

use crate::channel::ChannelName;
use crate::error::ConsumeError;
use crate::record::Received;

/// The right of one consumer to one partition of a channel. A later lease of the same partition has a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The channel.
    pub channel: ChannelName,
    /// From 0.
    pub partition: u16,
    /// Ascending per partition within a process.
    pub epoch: u64,
}

/// What an intake has to tell.
#[derive(Debug)]
pub enum Intaken {
    /// This consumer may now take from a partition.
    Assigned(Lease),
    /// Records, at least one, of any of the channels; in order within each partition.
    Batch(Vec<Received>),
    /// The lease ends at the given time or when all its receipts are settled or dropped, whichever is earlier; no more
    /// records come through it. Not announced when it ends at once.
    Revoking(Lease, Instant),
    /// The lease is gone: its receipts can't be settled any more, another consumer gets the records.
    Lost(Lease),
}

/// One consumer's stream of records from its channels.
///
/// Dropping an intake leaves the group. Its leases end as after [`Intaken::Revoking`]: when its receipts are settled or
/// dropped, at the latest after the engine's own grace; receipts still held then are stale (see
/// [`crate::Settler::hand_over`]).
#[async_trait]
pub trait Intake: Send {
    /// The next news. Cancel-safe: a dropped future loses nothing.
    ///
    /// Bounded per channel by unsettled records and bytes: a channel that reached its bound gives nothing more until
    /// some of its records are settled or given back, and never stops the other channels. An engine gives a record
    /// back to itself when its receipt is dropped, and hands it out again in order before later records of its partition.
    ///
    /// # Errors
    /// [`ConsumeError::Fatal`] ends the intake; anything passing is retried inside the engine.
    async fn next(&mut self) -> Result<Intaken, ConsumeError>;

    /// Holds a channel, or lets it flow again. A held channel gives no records from when this returns; what the
    /// engine had prefetched, and what is given back, waits in order. Those handed out and not yet settled remain the
    /// caller's. Holding outlives reassignment and the broker's own consumer time-outs.
    ///
    /// # Errors
    /// [`ConsumeError::UnknownChannel`] when this intake does not consume the channel.
    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError>;

    /// Adds channels to this intake, for destinations that appear in a changed configuration. They must be ensured.
    /// An intake may begin with no channel at all.
    ///
    /// # Errors
    /// [`ConsumeError`] when one does not exist or does not declare this intake's group.
    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError>;

    /// Takes channels out of this intake: no more of their records come. Those handed out can still be settled, as after
    /// dropping an intake.
    ///
    /// # Errors
    /// [`ConsumeError::UnknownChannel`].
    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError>;
}
