//! Records that say who they are: a key, and a number that ascends per key.

use bytes::Bytes;

use crate::channel::ChannelName;
use crate::record::{Outgoing, Received};

/// What identifies a numbered record: its key and its number.
pub type Id = (String, u64);

/// The record of `key` with `number`.
pub fn record(channel: &ChannelName, key: &str, number: u64) -> Outgoing {
    Outgoing::new(channel.clone(), Bytes::from(key.to_owned()), Bytes::from(format!("{key}#{number}")))
}

/// One record for each number, all of one key.
pub fn records(channel: &ChannelName, key: &str, numbers: std::ops::Range<u64>) -> Vec<Outgoing> {
    numbers.map(|number| record(channel, key, number)).collect()
}

/// One record of each of `keys` keys, all with the same number; no key twice, so that a publisher who repeats a part
/// of it changes no order.
pub fn round(channel: &ChannelName, keys: u64, number: u64) -> Vec<Outgoing> {
    (0..keys).map(|key| record(channel, &format!("key-{key}"), number)).collect()
}

/// Who a value says it is; the key that carried it must agree.
pub fn identify(key: &[u8], value: &[u8]) -> Id {
    let text = std::str::from_utf8(value).expect("a numbered record's value is text");
    let (name, number) = text.rsplit_once('#').expect("a numbered record's value is key#number");
    assert_eq!(name.as_bytes(), key, "a record came with another record's key");
    (name.to_owned(), number.parse().expect("a numbered record ends with its number"))
}

/// Who a received record is.
pub fn id(received: &Received) -> Id {
    identify(&received.key, &received.value)
}

/// The numbers of received records, in the order they came.
pub fn numbers(received: &[Received]) -> Vec<u64> {
    received.iter().map(|received| id(received).1).collect()
}

/// The identities of received records, sorted.
pub fn sorted_ids(received: &[Received]) -> Vec<Id> {
    let mut ids: Vec<Id> = received.iter().map(id).collect();
    ids.sort();
    ids
}

/// The identities of records to publish, sorted.
pub fn sorted_outgoing(batch: &[Outgoing]) -> Vec<Id> {
    let mut ids: Vec<Id> = batch.iter().map(|record| identify(&record.key, &record.value)).collect();
    ids.sort();
    ids
}
