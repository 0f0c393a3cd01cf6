//! What can go wrong at the port, by operation; the variants say what the caller must do.

use thiserror::Error;

use crate::channel::ChannelName;
use crate::record::Receipt;

/// An engine's own error, kept as a source.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why channels could not be ensured or removed.
#[derive(Debug, Error)]
pub enum TopologyError {
    /// The channel exists with other settings; it was left alone.
    #[error("channel `{channel}` exists with {found}, but {wanted} is configured")]
    Mismatch {
        /// The channel.
        channel: ChannelName,
        /// What is configured, for example `8 partitions`.
        wanted: String,
        /// What exists.
        found: String,
    },
    /// The channel does not exist, and `Ensure::Verify` forbids to create it.
    #[error("channel `{0}` does not exist")]
    Missing(ChannelName),
    /// A channel that still holds unsettled records is not removed unless forced.
    #[error("channel `{channel}` still holds {records} unsettled records")]
    NotEmpty {
        /// The channel.
        channel: ChannelName,
        /// How many.
        records: u64,
    },
    /// The engine can't be asked now.
    #[error("the broker can't be had: {0}")]
    Unavailable(#[source] Cause),
}

/// Why a batch, or part of it, was not published.
#[derive(Debug, Error)]
#[error("{} of the batch's records were not stored; the first: {}", .failures.len(), .failures[0].failure)]
pub struct PublishError {
    /// The records that are not known to be stored; at least one. All others are stored.
    pub failures: Vec<RecordFailure>,
}

/// One record that is not known to be stored.
#[derive(Debug, Error)]
#[error("record {index}: {failure}")]
pub struct RecordFailure {
    /// Its index in the batch.
    pub index: usize,
    /// Why.
    pub failure: PublishFailure,
}

/// Why a record is not known to be stored.
#[derive(Debug, Error)]
pub enum PublishFailure {
    /// It is larger than the channel or the engine takes; it never will be stored.
    #[error("record of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The channel does not exist, or a group that must get the record does not.
    #[error("channel `{0}` does not exist or lacks a group")]
    Unroutable(ChannelName),
    /// The engine has no room. Try again later; tell the publisher.
    #[error("the broker is full: {0}")]
    Full(#[source] Cause),
    /// Not now, or not known: publishing it again may duplicate it.
    #[error("the broker can't be had: {0}")]
    Unavailable(#[source] Cause),
}

/// Why records can't be taken in.
#[derive(Debug, Error)]
pub enum ConsumeError {
    /// The channel does not exist or is not consumed here.
    #[error("channel `{0}` is not there to be consumed")]
    UnknownChannel(ChannelName),
    /// The channel does not declare the group.
    #[error("channel `{channel}` does not declare group `{group}`")]
    UnknownGroup {
        /// The channel.
        channel: ChannelName,
        /// The group.
        group: String,
    },
    /// Another instance took this one's place (exit code 5).
    #[error("another instance took over")]
    Fenced,
    /// Records are damaged or missing; what can't be proven whole is never served.
    #[error("channel `{channel}` is damaged: {detail}")]
    Damaged {
        /// The channel.
        channel: ChannelName,
        /// What was found, where, and what to do.
        detail: String,
    },
    /// The intake has ended; open another one.
    #[error("the intake ended: {0}")]
    Fatal(#[source] Cause),
}

/// Why a hand-over did not happen.
#[derive(Debug, Error)]
pub enum HandOverError {
    /// Some outputs can never be stored. Nothing was published; the inputs are still the caller's.
    #[error("{} of the outputs can never be stored; the first: {}", .failures.len(), .failures[0])]
    Refused {
        /// The outputs, by index; at least one.
        failures: Vec<RecordFailure>,
        /// The inputs, unsettled.
        inputs: Vec<Receipt>,
    },
    /// Not now. The inputs are still the caller's; the outputs may or may not be stored.
    #[error("the hand-over can't be done now: {cause}")]
    Unavailable {
        /// Why.
        #[source]
        cause: Cause,
        /// The inputs, unsettled.
        inputs: Vec<Receipt>,
        /// The outputs that are known to be stored, by index, ascending. Publishing them again would make them twice.
        stored: Vec<usize>,
    },
    /// Another instance took this one's place (exit code 5).
    #[error("another instance took over")]
    Fenced,
}

/// Why the lag is not known.
#[derive(Debug, Error)]
pub enum LagError {
    /// The channel or group does not exist.
    #[error("channel `{0}` or its group does not exist")]
    Unknown(ChannelName),
    /// The engine can't be asked now.
    #[error("the broker can't be had: {0}")]
    Unavailable(#[source] Cause),
}
