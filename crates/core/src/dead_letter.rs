//! A dead letter: a delivery that ended without success, kept whole so that it can be replayed.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use prost::Message;
use sha2::{Digest, Sha256};
use trunkline_proto::bus::v1 as bus;

use crate::delivery::{Attempt, Delivery, DeliveryDecodeError};
use crate::retry::{FailureClass, RetryPolicy};
use crate::{timestamp, wire};

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

    /// Its id: a hash of destination, subscription, source, id and generation (of the bytes or the request where there
    /// is no delivery), so that storing it twice is harmless. 32 hexadecimal digits.
    pub fn id(&self) -> String {
        let mut hash = Hash(Sha256::new());
        match &self.contents {
            Contents::Delivery(delivery) => {
                let event = &delivery.event;
                hash.part("delivery").part(&delivery.destination).part(&delivery.subscription);
                hash.part(event.source()).part(event.id()).part(delivery.generation.to_be_bytes());
            }
            Contents::Malformed(bytes) => {
                hash.part("malformed").part(bytes);
            }
            Contents::Webhook(request) => {
                hash.part("webhook").part(&request.source).part(&request.method).part(&request.path);
                hash.part(timestamp::to_rfc3339(request.received)).part(&request.body);
                for (name, value) in &request.headers {
                    hash.part(name).part(value);
                }
            }
        }
        hex::encode(&hash.0.finalize()[..16])
    }

    /// This dead letter with its body left out, when its record would be longer than `max_record` bytes; the event is
    /// never left out.
    #[must_use]
    pub fn fitting(mut self, max_record: usize) -> Self {
        if self.to_wire().encoded_len() <= max_record {
            return self;
        }
        if let Contents::Delivery(delivery) = &mut self.contents
            && let Some(body) = delivery.body.take()
        {
            let length = u64::try_from(body.bytes.len()).unwrap_or(u64::MAX);
            self.dropped_body = Some(DroppedBody { length, sha256: Sha256::digest(&body.bytes).into() });
        }
        self
    }

    /// Decodes a record of a `dead.*` channel. Event, body and request stay slices of the record.
    ///
    /// # Errors
    /// [`DeliveryDecodeError`] says which part is wrong. Never panics.
    pub fn decode(bytes: Bytes) -> Result<Self, DeliveryDecodeError> {
        let wire = bus::DeadLetter::decode(bytes)
            .map_err(|cause| DeliveryDecodeError::Malformed("dead letter", cause))?;
        let contents = match (wire.delivery, wire.request) {
            (Some(delivery), _) => {
                let mut delivery = Delivery::from_wire(delivery)?;
                if !wire.attempts.is_empty() {
                    delivery.attempts = Attempt::all_from_wire(wire.attempts)?;
                }
                Contents::Delivery(Box::new(delivery))
            }
            (None, Some(request)) => Contents::Webhook(RawRequest::from_wire(request)?),
            (None, None) => Contents::Malformed(wire.malformed_record),
        };
        let dropped_body = match wire.body_dropped {
            false => None,
            true => Some(DroppedBody {
                length: u64::try_from(wire.body_length)
                    .map_err(|_negative| DeliveryDecodeError::Invalid("body_length"))?,
                sha256: <[u8; 32]>::try_from(&*wire.body_sha256)
                    .map_err(|_length| DeliveryDecodeError::Invalid("body_sha256"))?,
            }),
        };
        Ok(Self {
            contents,
            reason: read_reason(wire.reason)?,
            detail: wire.detail,
            class: wire::read_class(wire.class, wire.retry_after, "class")?,
            policy: wire.policy.map(read_policy).transpose()?,
            time: wire::read_time(wire.time, "time")?,
            dropped_body,
        })
    }

    /// The record for a `dead.*` channel.
    pub fn encode(&self) -> Bytes {
        self.to_wire().encode_to_vec().into()
    }

    fn to_wire(&self) -> bus::DeadLetter {
        let (class, retry_after) = wire::class(self.class.as_ref());
        let dropped = self.dropped_body.as_ref();
        let length = dropped.map_or(0, |dropped| dropped.length);
        let mut wire = bus::DeadLetter {
            id: self.id(),
            reason: write_reason(self.reason).into(),
            detail: self.detail.clone(),
            class,
            retry_after,
            policy: self.policy.as_ref().map(write_policy),
            time: Some(timestamp::to_proto(self.time)),
            body_dropped: dropped.is_some(),
            body_length: i64::try_from(length).unwrap_or(i64::MAX),
            body_sha256: dropped.map(|dropped| dropped.sha256.to_vec().into()).unwrap_or_default(),
            ..bus::DeadLetter::default()
        };
        match &self.contents {
            Contents::Delivery(delivery) => {
                let mut delivery = delivery.to_wire();
                wire.attempts = std::mem::take(&mut delivery.attempts);
                wire.delivery = Some(delivery);
            }
            Contents::Malformed(bytes) => wire.malformed_record = bytes.clone(),
            Contents::Webhook(request) => wire.request = Some(request.to_wire()),
        }
        wire
    }
}

impl RawRequest {
    fn from_wire(wire: bus::RawRequest) -> Result<Self, DeliveryDecodeError> {
        let text = |value: Bytes| String::from_utf8_lossy(&value).into_owned();
        Ok(Self {
            source: wire.source,
            method: wire.method,
            path: wire.path,
            headers: wire.headers.into_iter().map(|header| (header.name, text(header.value))).collect(),
            body: wire.body,
            received: wire::read_time(wire.received, "request.received")?,
        })
    }

    fn to_wire(&self) -> bus::RawRequest {
        let header = |(name, value): &(String, String)| bus::Header {
            name: name.clone(),
            value: value.clone().into(),
        };
        bus::RawRequest {
            source: self.source.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            headers: self.headers.iter().map(header).collect(),
            body: self.body.clone(),
            received: Some(timestamp::to_proto(self.received)),
        }
    }
}

/// Hashes parts so that no two lists of parts look the same: each with its length before it.
struct Hash(Sha256);

impl Hash {
    fn part(&mut self, part: impl AsRef<[u8]>) -> &mut Self {
        let part = part.as_ref();
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }
}

fn write_reason(reason: DeadLetterReason) -> bus::DeadLetterReason {
    match reason {
        DeadLetterReason::Rejected => bus::DeadLetterReason::Rejected,
        DeadLetterReason::AttemptsExhausted => bus::DeadLetterReason::AttemptsExhausted,
        DeadLetterReason::TooOld => bus::DeadLetterReason::TooOld,
        DeadLetterReason::ConditionFailed => bus::DeadLetterReason::ConditionFailed,
        DeadLetterReason::TransformFailed => bus::DeadLetterReason::TransformFailed,
        DeadLetterReason::TooLarge => bus::DeadLetterReason::TooLarge,
        DeadLetterReason::Undecodable => bus::DeadLetterReason::Undecodable,
        DeadLetterReason::NotNormalized => bus::DeadLetterReason::NotNormalized,
        DeadLetterReason::TemplateMissingValue => bus::DeadLetterReason::TemplateMissingValue,
        DeadLetterReason::UnknownDestination => bus::DeadLetterReason::UnknownDestination,
    }
}

fn read_reason(reason: i32) -> Result<DeadLetterReason, DeliveryDecodeError> {
    let known = bus::DeadLetterReason::try_from(reason)
        .map_err(|_unknown| DeliveryDecodeError::Unknown { field: "reason", value: reason })?;
    Ok(match known {
        bus::DeadLetterReason::Unspecified => return Err(DeliveryDecodeError::Missing("reason")),
        bus::DeadLetterReason::Rejected => DeadLetterReason::Rejected,
        bus::DeadLetterReason::AttemptsExhausted => DeadLetterReason::AttemptsExhausted,
        bus::DeadLetterReason::TooOld => DeadLetterReason::TooOld,
        bus::DeadLetterReason::ConditionFailed => DeadLetterReason::ConditionFailed,
        bus::DeadLetterReason::TransformFailed => DeadLetterReason::TransformFailed,
        bus::DeadLetterReason::TooLarge => DeadLetterReason::TooLarge,
        bus::DeadLetterReason::Undecodable => DeadLetterReason::Undecodable,
        bus::DeadLetterReason::NotNormalized => DeadLetterReason::NotNormalized,
        bus::DeadLetterReason::TemplateMissingValue => DeadLetterReason::TemplateMissingValue,
        bus::DeadLetterReason::UnknownDestination => DeadLetterReason::UnknownDestination,
    })
}

fn write_policy(policy: &RetryPolicy) -> bus::RetryPolicy {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float beyond the range becomes the nearest end of it"
    )]
    let factor_percent = (policy.factor * 100.0).round() as u32;
    bus::RetryPolicy {
        max_attempts: policy.max_attempts,
        max_age: Some(wire::duration(policy.max_age)),
        first_delay: Some(wire::duration(policy.first)),
        max_delay: Some(wire::duration(policy.max)),
        factor_percent,
        max_retry_after: Some(wire::duration(policy.max_retry_after)),
    }
}

fn read_policy(wire: bus::RetryPolicy) -> Result<RetryPolicy, DeliveryDecodeError> {
    Ok(RetryPolicy {
        max_attempts: wire.max_attempts,
        max_age: wire::read_duration(wire.max_age, "policy.max_age")?,
        first: wire::read_duration(wire.first_delay, "policy.first_delay")?,
        max: wire::read_duration(wire.max_delay, "policy.max_delay")?,
        factor: f64::from(wire.factor_percent) / 100.0,
        max_retry_after: wire::read_duration(wire.max_retry_after, "policy.max_retry_after")?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::delivery::tests::{delivery, time};

    fn dead_letter(contents: Contents) -> DeadLetter {
        DeadLetter {
            contents,
            reason: DeadLetterReason::AttemptsExhausted,
            detail: "gave up".to_owned(),
            class: Some(FailureClass::Throttled { retry_after: Duration::from_secs(3) }),
            policy: Some(RetryPolicy { factor: 1.5, ..RetryPolicy::default() }),
            time: time(9),
            dropped_body: None,
        }
    }

    fn request() -> RawRequest {
        RawRequest {
            source: "shop".to_owned(),
            method: "POST".to_owned(),
            path: "/hooks/shop?x=1".to_owned(),
            headers: vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "ä".to_owned())],
            body: Bytes::from_static(b"\xff{"),
            received: time(1),
        }
    }

    #[test]
    fn every_kind_survives_the_wire() {
        let delivery = Box::new(delivery());
        for contents in [
            Contents::Delivery(delivery.clone()),
            Contents::Malformed(Bytes::from_static(b"\xffgarbage")),
            Contents::Malformed(Bytes::new()),
            Contents::Webhook(request()),
        ] {
            let letter = dead_letter(contents);
            let again = DeadLetter::decode(letter.encode()).unwrap();
            assert_eq!(again, letter);
            assert_eq!(again.encode(), letter.encode());
            assert_eq!(bus::DeadLetter::decode(letter.encode()).unwrap().id, letter.id());
        }
        let again = DeadLetter::decode(dead_letter(Contents::Delivery(delivery.clone())).encode()).unwrap();
        let Contents::Delivery(kept) = &again.contents else { panic!("{again:?}") };
        assert_eq!(kept.event.encoded(), delivery.event.encoded(), "the event's bytes were rewritten");
        assert_eq!(again.attempts().len(), 2);
    }

    #[test]
    fn the_id_is_that_of_the_delivery_and_not_of_its_account() {
        let letter = dead_letter(Contents::Delivery(Box::new(delivery())));
        assert_eq!(
            letter.id(),
            "54095aeec8941785e0a94af5ee51a864",
            "stored dead letters would be stored again"
        );
        let with = |change: &dyn Fn(&mut Delivery)| {
            let mut delivery = delivery();
            change(&mut delivery);
            dead_letter(Contents::Delivery(Box::new(delivery))).id()
        };
        assert_eq!(with(&|delivery| delivery.attempts.clear()), letter.id());
        assert_eq!(with(&|delivery| delivery.body = None), letter.id());
        assert_ne!(with(&|delivery| delivery.generation += 1), letter.id());
        assert_ne!(with(&|delivery| delivery.destination = "erp".to_owned()), letter.id());
        let shifted = with(&|delivery| {
            delivery.destination = "crmb".to_owned();
            delivery.subscription = "ig-orders".to_owned();
        });
        assert_ne!(shifted, letter.id());
        assert_ne!(
            dead_letter(Contents::Malformed(Bytes::new())).id(),
            dead_letter(Contents::Webhook(request())).id()
        );
    }

    #[test]
    fn a_body_too_large_is_dropped_and_the_event_never() {
        let mut large = delivery();
        large.body.as_mut().unwrap().bytes = vec![b'x'; 100_000].into();
        let letter = dead_letter(Contents::Delivery(Box::new(large)));
        assert_eq!(letter.clone().fitting(letter.encode().len()), letter);
        let fitted = letter.clone().fitting(letter.encode().len() - 1);
        assert!(fitted.encode().len() < 2000);
        let dropped = fitted.dropped_body.clone().unwrap();
        assert_eq!(dropped.length, 100_000);
        assert_eq!(dropped.sha256, <[u8; 32]>::from(Sha256::digest(vec![b'x'; 100_000])));
        assert_eq!(fitted.id(), letter.id());
        assert_eq!(DeadLetter::decode(fitted.encode()).unwrap(), fitted);
        let Contents::Delivery(smallest) = fitted.fitting(1).contents else { panic!("another kind") };
        assert_eq!(smallest.event, delivery().event);
    }

    #[test]
    fn an_error_names_the_field() {
        let refused = |change: fn(&mut bus::DeadLetter)| {
            let mut wire = dead_letter(Contents::Webhook(request())).to_wire();
            change(&mut wire);
            DeadLetter::decode(wire.encode_to_vec().into()).unwrap_err().to_string()
        };
        assert_eq!(refused(|wire| wire.reason = 0), "field `reason` is missing");
        assert_eq!(
            refused(|wire| wire.reason = 77),
            "field `reason` has value 77, which this version does not know"
        );
        assert_eq!(refused(|wire| wire.time = None), "field `time` is missing");
        assert_eq!(refused(|wire| wire.body_dropped = true), "field `body_sha256` is out of range");
        assert!(DeadLetter::decode(Bytes::new()).is_err());
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in any::<Vec<u8>>()) {
            let _decoded_or_not = DeadLetter::decode(bytes.into()).is_ok();
        }
    }
}
