//! Records as AMQP messages.
//!
//! The value is the body. Headers are AMQP headers of the same name, but `content-type`, which is AMQP's own property. The
//! ordering key is header `Trunkline-Key` (the port's names are lower-case, so nothing can collide). AMQP tables have no
//! order that would survive; where it differs from that of the alphabet, header `Trunkline-Order` says it. The record's number
//! is the message id, its time of publishing the timestamp.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ByteArray, FieldTable, LongString, ShortString};
use trunkline_broker::{Headers, Outgoing};

use crate::sequence::published;

pub(crate) const KEY: &str = "Trunkline-Key";
const ORDER: &str = "Trunkline-Order";
pub(crate) const CONTENT_TYPE: &str = "content-type";
/// Key and headers travel in one AMQP frame, whose limit is 128 KiB by default.
pub(crate) const MAX_HEAD: usize = 100 << 10;
/// A header's longest name, by AMQP.
pub(crate) const MAX_NAME: usize = 255;

/// What RabbitMQ itself writes among the headers.
pub(crate) const BROKERS_OWN: [&str; 8] = [
    "x-death",
    "x-delivery-count",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
];

/// A record as it came off a queue.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Its number, unless another program published it.
    pub(crate) number: Option<i64>,
    pub(crate) key: Bytes,
    pub(crate) headers: Headers,
    pub(crate) value: Bytes,
    pub(crate) published: SystemTime,
    /// How often the broker handed it out before.
    pub(crate) redelivered: u32,
}

impl Stored {
    /// Its bytes in memory.
    pub(crate) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + headers + self.value.len()
    }
}

/// The properties of a record's message. Names of headers must be at most [`MAX_NAME`] bytes long; longer ones are left out.
pub(crate) fn encode(record: &Outgoing, number: i64) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(short(number.to_string()))
        .with_timestamp(published(number).duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
    let mut table = FieldTable::default();
    table.insert(short(KEY), bytes(&record.key));
    for (name, value) in &record.headers {
        let text = std::str::from_utf8(value).ok().filter(|_| name == CONTENT_TYPE);
        match text.and_then(|text| ShortString::try_new(text).ok()) {
            Some(text) => properties = properties.with_content_type(text),
            None => _ = table.insert(short(name.as_str()), bytes(value)),
        }
    }
    if let Some(order) = order(&record.headers) {
        table.insert(short(ORDER), AMQPValue::ByteArray(ByteArray::from(order)));
    }
    properties.with_headers(table)
}

/// Reads a message.
pub(crate) fn decode(delivery: Delivery) -> Stored {
    let properties = delivery.properties;
    let mut headers = Headers::new();
    let (mut key, mut order, mut count) = (Bytes::new(), None, None);
    for (name, value) in properties.headers().iter().flat_map(|table| table.inner()) {
        match name.as_str() {
            KEY => key = raw(value),
            ORDER => order = Some(raw(value)),
            "x-delivery-count" => count = number_of(value),
            name if BROKERS_OWN.contains(&name) => {}
            name => headers.push((name.to_owned(), raw(value))),
        }
    }
    if let Some(content_type) = properties.content_type() {
        let at = headers.partition_point(|(name, _)| name.as_str() < CONTENT_TYPE);
        let value = Bytes::copy_from_slice(content_type.as_str().as_bytes());
        headers.insert(at, (CONTENT_TYPE.to_owned(), value));
    }
    if let Some(order) = order {
        reorder(&mut headers, &order);
    }
    let number = properties.message_id().as_ref().and_then(|id| id.as_str().parse().ok());
    Stored {
        number,
        key,
        headers,
        value: Bytes::from(delivery.data),
        published: number.map_or_else(SystemTime::now, published),
        redelivered: count.unwrap_or(u32::from(delivery.redelivered)),
    }
}

/// Where each header stood, in the order of their names; `None` when that is the same.
fn order(headers: &Headers) -> Option<Vec<u8>> {
    if headers.is_sorted_by(|one, next| one.0 <= next.0) {
        return None;
    }
    let mut places: Vec<u16> = (0..=u16::MAX).take(headers.len()).collect();
    places.sort_by_key(|place| &headers[usize::from(*place)].0);
    Some(places.into_iter().flat_map(u16::to_be_bytes).collect())
}

fn reorder(headers: &mut Headers, order: &[u8]) {
    let places = order.chunks_exact(2).map(|place| u16::from_be_bytes([place[0], place[1]]));
    let mut placed: Vec<(u16, (String, Bytes))> = places.zip(std::mem::take(headers)).collect();
    placed.sort_by_key(|(place, _)| *place);
    headers.extend(placed.into_iter().map(|(_, header)| header));
}

pub(crate) fn short(text: impl Into<String>) -> ShortString {
    ShortString::try_new(text).unwrap_or_default()
}

/// A text argument or header.
pub(crate) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn bytes(value: &Bytes) -> AMQPValue {
    AMQPValue::LongString(LongString::from(value.to_vec()))
}

/// A header's value as bytes; numbers and truth as text.
pub(crate) fn raw(value: &AMQPValue) -> Bytes {
    match value {
        AMQPValue::LongString(text) => Bytes::copy_from_slice(text.as_bytes()),
        AMQPValue::ShortString(text) => Bytes::copy_from_slice(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Bytes::copy_from_slice(bytes.as_slice()),
        AMQPValue::Boolean(truth) => Bytes::from(truth.to_string()),
        AMQPValue::Void => Bytes::new(),
        AMQPValue::Float(number) => Bytes::from(number.to_string()),
        AMQPValue::Double(number) => Bytes::from(number.to_string()),
        AMQPValue::Timestamp(seconds) => Bytes::from(seconds.to_string()),
        other => integer(other).map_or_else(Bytes::new, |number| Bytes::from(number.to_string())),
    }
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongLongInt(number) => Some(*number),
        _ => None,
    }
}

fn number_of(value: &AMQPValue) -> Option<u32> {
    u32::try_from(integer(value)?).ok()
}

#[cfg(test)]
mod tests {
    use trunkline_broker::ChannelName;

    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &'static [u8])]) {
        let headers: Headers =
            headers.iter().map(|(name, value)| ((*name).to_owned(), Bytes::from_static(value))).collect();
        let key = Bytes::from_static(b"\xffkey\0");
        let record =
            Outgoing { headers, ..Outgoing::new(ChannelName::events(), key, Bytes::from_static(b"value")) };
        let number = 42 << 20;
        let mut delivery = Delivery::mock(1, short("x"), short("0"), false, record.value.to_vec());
        delivery.properties = encode(&record, number);
        let stored = decode(delivery);
        assert_eq!(stored.headers, record.headers);
        assert_eq!((stored.key, stored.value), (record.key, record.value));
        assert_eq!((stored.number, stored.redelivered), (Some(number), 0));
    }

    #[test]
    fn what_goes_in_comes_out() {
        check(&[]);
        check(&[("a", b"1"), ("content-type", b"application/json"), ("d", b"")]);
        check(&[("traceparent", b"00-1"), ("content-type", b"text/plain"), ("a", b"\xff\x00")]);
        check(&[("z", b"1"), ("content-type", b"\xff is no text"), ("b", b"2"), ("a", b"3")]);
    }

    #[test]
    fn what_the_broker_wrote_is_not_among_the_headers() {
        let mut delivery = Delivery::mock(1, short("x"), short("0"), true, Vec::new());
        let mut table = FieldTable::default();
        table.insert(short("x-death"), AMQPValue::Void);
        table.insert(short("x-delivery-count"), AMQPValue::LongLongInt(3));
        table.insert(short("x-mine"), AMQPValue::LongInt(-7));
        delivery.properties = BasicProperties::default().with_headers(table);
        let stored = decode(delivery);
        assert_eq!(stored.headers, [("x-mine".to_owned(), Bytes::from_static(b"-7"))]);
        assert_eq!((stored.number, stored.redelivered), (None, 3));
    }
}
