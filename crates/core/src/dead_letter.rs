//! A dead letter: a delivery that ended without success, kept whole so that it can be replayed.

use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::delivery::{Attempt, Delivery};
use crate::retry::{FailureClass, RetryPolicy};

/// Why a delivery ended without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// The platform (or the adapter) refused it for good.
    Rejected,
    /// The retry policy's attempts are used up.
    AttemptsExhausted,
    /// The retry policy's age has passed.
    TooOld,
    /// The subscription's `when` failed.
    ConditionFailed,
    /// The subscription's `transform` failed.
    TransformFailed,
    /// The engine can't carry the record.
    TooLarge,
    /// The record is no event or no delivery.
    Undecodable,
    /// An authenticated webhook that its source could not normalize.
    NotNormalized,
    /// A template found no value.
    TemplateMissingValue,
    /// The delivery names a destination that is not configured.
    UnknownDestination,
}

/// What a dead letter holds besides reason and account.
#[derive(Debug, Clone, PartialEq)]
pub enum Contents {
    /// A delivery: on `dead.<destination>`, replayable to that destination.
    Delivery(Box<Delivery>),
    /// Bytes that are no event: on `dead.router`, not replayable.
    Malformed(Bytes),
    /// An authenticated webhook that did not normalize: on `dead.gateway`; a replay normalizes again.
    Webhook(RawRequest),
}

/// A webhook as it came in, its authentication headers removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRequest {
    /// The configured source it came to.
    pub source: String,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers but those that carry secrets or signatures, in their order.
    pub headers: Vec<(String, String)>,
    /// The raw body.
    pub body: Bytes,
    /// When it came in.
    pub received: DateTime<Utc>,
}

/// A delivery that ended without success, with everything an operator needs to judge and replay it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// What failed.
    pub contents: Contents,
    /// Why it ended here.
    pub reason: DeadLetterReason,
    /// What happened, in words, without secrets.
    pub detail: String,
    /// Class of the last failure, where an attempt was made.
    pub class: Option<FailureClass>,
    /// The retry policy that applied, where one did.
    pub policy: Option<RetryPolicy>,
    /// When it became a dead letter.
    pub time: DateTime<Utc>,
    /// Set when the body was too large for the engine and left out.
    pub dropped_body: Option<DroppedBody>,
}

/// What is left of a body that was too large to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedBody {
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
}

impl DeadLetter {
    /// The latest attempts of the delivery, oldest first.
    pub fn attempts(&self) -> &[Attempt] {
        match &self.contents {
            Contents::Delivery(delivery) => &delivery.attempts,
            _ => &[],
        }
    }
}

impl DeadLetter {
    /// Its id: a hash of destination, subscription, source, id and generation (of the bytes or the request where there
    /// is no delivery), so that storing it twice is harmless. 32 hexadecimal digits.
    pub fn id(&self) -> String {
        todo!()
    }

    /// Decodes a record of a `dead.*` channel.
    ///
    /// # Errors
    /// [`crate::delivery::DeliveryDecodeError`] says which part is wrong. Never panics.
    pub fn decode(bytes: Bytes) -> Result<Self, crate::delivery::DeliveryDecodeError> {
        todo!("{bytes:?}")
    }

    /// The record for a `dead.*` channel.
    pub fn encode(&self) -> Bytes {
        todo!()
    }

    /// This dead letter with its body left out, when its record would be longer than `max_record` bytes; the event is
    /// never left out.
    #[must_use]
    pub fn fitting(self, max_record: usize) -> Self {
        todo!("{max_record}")
    }
}
