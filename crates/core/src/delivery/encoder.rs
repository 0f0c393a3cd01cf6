//! First deliveries of one subscription, written without building each of them.

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint, message};
use trunkline_proto::bus::v1 as bus;

use super::Body;
use crate::event::Event;
use crate::names::{DestinationName, SubscriptionName};
use crate::timestamp;

/// Bytes of a block, in which records lie one behind the other. Small, because it lives as long as the last of them.
const BLOCK: usize = 64 << 10;
/// The key of field 1, `event`.
const EVENT: u8 = 0x0a;
/// The number of `body`.
const BODY: u32 = 2;

/// Encodes deliveries in their first life that differ in their events and bodies only.
#[derive(Debug, Clone)]
pub struct DeliveryEncoder {
    /// The fields behind event and body, which are the same in all of them.
    rest: Vec<u8>,
}

impl DeliveryEncoder {
    /// Deliveries that a router makes at `routed`, because of this subscription.
    pub fn new(
        subscription: &SubscriptionName,
        destination: &DestinationName,
        rule_set: &str,
        routed: DateTime<Utc>,
    ) -> Self {
        let rest = bus::Delivery {
            subscription: subscription.to_string(),
            destination: destination.to_string(),
            rule_set: rule_set.to_owned(),
            routed: Some(timestamp::to_proto(routed)),
            ..bus::Delivery::default()
        };
        Self { rest: rest.encode_to_vec() }
    }

    /// What [`super::Delivery::encode`] gives for the same delivery. It is laid into `block`, which is replaced when it is
    /// full; give the same one for the next.
    pub fn encode(&self, event: &Event, body: Option<&Body>, block: &mut BytesMut) -> Bytes {
        let event = event.encoded();
        let body =
            body.map(|body| bus::Body { bytes: body.bytes.clone(), content_type: body.content_type.clone() });
        let body_bytes = body.as_ref().map_or(0, |body| message::encoded_len(BODY, body));
        let size = 1 + encoded_len_varint(event.len() as u64) + event.len() + body_bytes + self.rest.len();
        if block.capacity() < size {
            *block = BytesMut::with_capacity(BLOCK.max(size));
        }
        block.put_u8(EVENT);
        encode_varint(event.len() as u64, block);
        block.extend_from_slice(event);
        if let Some(body) = &body {
            message::encode(BODY, body, block);
        }
        block.extend_from_slice(&self.rest);
        block.split().freeze()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::delivery::Delivery;
    use crate::delivery::tests::{delivery, time};

    #[test]
    fn it_writes_what_a_delivery_says_of_itself() {
        let whole = delivery();
        let (subscription, destination) =
            (SubscriptionName::parse("big-orders").unwrap(), DestinationName::parse("crm").unwrap());
        let encoder = DeliveryEncoder::new(&subscription, &destination, "abc", time(0));
        let mut block = BytesMut::new();
        let large =
            Event::builder("2", "shop", "t").json(format!("\"{}\"", "x".repeat(200_000))).build().unwrap();
        for event in [whole.event.clone(), large, whole.event.clone()] {
            for body in [None, whole.body.clone()] {
                let first = Delivery {
                    event: event.clone(),
                    body,
                    attempt: 0,
                    generation: 0,
                    first_attempt: None,
                    replay_id: String::new(),
                    attempts: Vec::new(),
                    ..whole.clone()
                };
                assert_eq!(encoder.encode(&first.event, first.body.as_ref(), &mut block), first.encode());
            }
        }
    }
}
