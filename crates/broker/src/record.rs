//! Records: what goes onto a channel and what comes off it.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::channel::ChannelName;

/// The ordering key of a record: records of one channel with equal keys keep their order.
pub type Key = Bytes;

/// Headers of a record, in their order. Names are lower-case ASCII; a name may occur once.
pub type Headers = Vec<(String, Bytes)>;

/// A record on its way to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes.
    pub channel: ChannelName,
    /// Chooses its partition.
    pub key: Key,
    /// Headers; `traceparent` and `content-type` among them.
    pub headers: Headers,
    /// The bytes.
    pub value: Bytes,
    /// Not to be received before this time has passed; never early, at most 12.5 % or 1 s late, whichever is more.
    /// Records with a delay keep no order against records with another delay.
    pub delay: Option<Duration>,
}

impl Outgoing {
    /// A record without headers and delay.
    pub fn new(channel: ChannelName, key: Key, value: Bytes) -> Self {
        Self { channel, key, headers: Vec::new(), value, delay: None }
    }

    /// The bytes that count against a channel's `max_record`.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + headers + self.value.len()
    }
}

/// A record received through a lease.
#[derive(Debug)]
pub struct Received {
    /// The channel it came from.
    pub channel: ChannelName,
    /// Where in the channel it stands.
    pub position: Position,
    /// Its ordering key.
    pub key: Key,
    /// Its headers.
    pub headers: Headers,
    /// Its bytes.
    pub value: Bytes,
    /// When the engine stored it.
    pub stored: SystemTime,
    /// How often the engine has handed it out before, as far as it knows; 0 for the first time. A hint for logs:
    /// `Delivery.attempt` is what counts.
    pub redelivered: u32,
    /// The right and the duty to settle it. Dropped unsettled, it gives the record back.
    pub receipt: Receipt,
}

/// Where a record stands: unique within its channel, ascending within its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 0.
    pub partition: u16,
    /// Ascending, not necessarily without gaps.
    pub offset: i64,
}

/// The right to settle one record, once.
///
/// It is handed to [`crate::Settler::hand_over`] to settle the record. Dropped unsettled it means "give it back": the
/// engine hands the record out again, to this consumer or another one. It never means "done".
///
/// That it is settled once at most is a matter of types:
///
/// ```compile_fail,E0382
/// # async fn twice(settler: &dyn trunkline_broker::Settler, receipt: trunkline_broker::Receipt) {
/// settler.hand_over(vec![receipt], vec![]).await;
/// settler.hand_over(vec![receipt], vec![]).await;
/// # }
/// ```
pub struct Receipt {
    token: Option<Box<dyn ReceiptToken>>,
}

/// An engine's side of a [`Receipt`].
pub trait ReceiptToken: Send + Sync + std::fmt::Debug {
    /// Called once when the receipt is dropped unsettled. Must not block.
    fn give_back(self: Box<Self>);
    /// Lets the engine find its own type again.
    fn into_any(self: Box<Self>) -> Box<dyn std::any::Any>;
    /// The same, for looking at it while it stays in the receipt.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl Receipt {
    /// Made by an engine for a record it hands out.
    pub fn new(token: Box<dyn ReceiptToken>) -> Self {
        Self { token: Some(token) }
    }

    /// Of a record that was only looked at: settles nothing and gives nothing back.
    pub fn observed() -> Self {
        Self { token: None }
    }

    /// For engines: looks at the token without taking it.
    pub fn token<T: 'static>(&self) -> Option<&T> {
        self.token.as_ref()?.as_any().downcast_ref()
    }

    /// For engines: takes the token out; the drop then gives nothing back. `None` when it is another engine's (which
    /// then gives its record back).
    pub fn into_token<T: 'static>(mut self) -> Option<Box<T>> {
        self.token::<T>()?;
        self.token.take()?.into_any().downcast().ok()
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            token.give_back();
        }
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Receipt({:?})", self.token)
    }
}
