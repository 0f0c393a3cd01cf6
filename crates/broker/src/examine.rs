//! Looking at a broker without using it, for `trunkline doctor`.

use async_trait::async_trait;
use trunkline_core::Examination;

use crate::broker::Ensure;
use crate::channel::ChannelSpec;

/// The setting of a configuration that a finding about a broker is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Where the broker is, and as whom.
    Address,
    /// How the connection is encrypted.
    Tls,
    /// Where the broker's own administration is asked, for engines that ask it over another way.
    Management,
    /// How many partitions channels have.
    Partitions,
    /// How many copies there are of each record.
    Replication,
    /// The longest record.
    MaxRecord,
    /// Whether channels are made.
    Ensure,
    /// The channels as a whole.
    Channels,
}

/// A look at a broker and at what channels are on it.
///
/// It is apart from [`crate::Broker`] because opening an engine already changes something: it takes a directory, starts
/// producers, announces itself. An examiner is made from the same options, reaches the broker by a connection of its own, and
/// may run beside any number of processes that use the broker.
#[async_trait]
pub trait Examine: Send + Sync {
    /// Looks, and fills `found` as it goes: whoever calls may drop the future when its time is up and keeps what was found
    /// until then. It ends by itself when the broker answers; waiting for one that does not is the caller's to bound.
    ///
    /// It changes nothing: no channel, group or record is made, taken, settled or removed. `specs` are all channels of the
    /// configuration. Those that are missing are a finding only with [`Ensure::Verify`]; with [`Ensure::Create`] a start makes
    /// them, so what is judged is whether it could.
    async fn examine(&self, specs: &[ChannelSpec], mode: Ensure, found: &mut Examination<Setting>);
}
