//! A record's bytes in one piece, as a consumer keeps them until the record is settled.
//!
//! One allocation serves many small records: they are laid one behind the other in a block, and keys, values and headers
//! are slices of it. Handing a record out a second time reads it from the same bytes.

use bytes::{Bytes, BytesMut};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use std::panic::{AssertUnwindSafe, catch_unwind};
use trunkline_broker::Headers;

/// Bytes of a block. Small, because a block lives as long as the last record in it.
const BLOCK: usize = 32 << 10;

/// Lengths before each header: two bytes for the name's, four for the value's.
const HEADER_LENGTHS: usize = 6;

/// A record's headers, key and value.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    bytes: Bytes,
    headers: u16,
    key_at: u32,
    value_at: u32,
}

/// Lays records into blocks.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    block: BytesMut,
}

impl Blocks {
    /// Copies a message out of librdkafka.
    pub(crate) fn copy(&mut self, message: &BorrowedMessage<'_>) -> Raw {
        let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
        let headers = message.headers();
        let count = headers.map_or(0, |headers| headers.count());
        // A header's name that is not UTF-8 makes the binding panic; such a header is left out.
        let header = |index| {
            let headers = headers?;
            let read = catch_unwind(AssertUnwindSafe(|| headers.try_get(index)));
            read.ok().flatten().map(|header| (header.key, header.value.unwrap_or_default()))
        };
        self.lay((0..count).filter_map(header), key, value)
    }

    fn lay<'a>(
        &mut self,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        key: &[u8],
        value: &[u8],
    ) -> Raw {
        let room = key.len() + value.len();
        if self.block.capacity() < room {
            self.block = BytesMut::with_capacity(BLOCK.max(room + 1024));
        }
        let mut count = 0;
        for (name, value) in headers {
            let (Ok(name_len), Ok(value_len)) = (u16::try_from(name.len()), u32::try_from(value.len()))
            else {
                continue;
            };
            self.block.extend_from_slice(&name_len.to_be_bytes());
            self.block.extend_from_slice(&value_len.to_be_bytes());
            self.block.extend_from_slice(name.as_bytes());
            self.block.extend_from_slice(value);
            count += 1;
        }
        // A Kafka record is shorter than 2 GiB.
        let key_at = u32::try_from(self.block.len()).unwrap_or(u32::MAX);
        self.block.extend_from_slice(key);
        let value_at = u32::try_from(self.block.len()).unwrap_or(u32::MAX);
        self.block.extend_from_slice(value);
        Raw { bytes: self.block.split().freeze(), headers: count, key_at, value_at }
    }
}

impl Raw {
    /// Bytes it takes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Its key.
    pub(crate) fn key(&self) -> Bytes {
        self.bytes.slice(self.key_at as usize..self.value_at as usize)
    }

    /// Its value.
    pub(crate) fn value(&self) -> Bytes {
        self.bytes.slice(self.value_at as usize..)
    }

    /// Its headers, in their order.
    pub(crate) fn headers(&self) -> Headers {
        let mut headers = Vec::with_capacity(usize::from(self.headers));
        let mut at = 0;
        for _ in 0..self.headers {
            let lengths = &self.bytes[at..at + HEADER_LENGTHS];
            let name_len = usize::from(u16::from_be_bytes([lengths[0], lengths[1]]));
            let value_len = u32::from_be_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]) as usize;
            at += HEADER_LENGTHS;
            let name = String::from_utf8_lossy(&self.bytes[at..at + name_len]).into_owned();
            at += name_len;
            headers.push((name, self.bytes.slice(at..at + value_len)));
            at += value_len;
        }
        headers
    }
}

#[cfg(test)]
pub(crate) fn raw_with(headers: &[(&str, &[u8])], key: &[u8], value: &[u8]) -> Raw {
    Blocks::default().lay(headers.iter().copied(), key, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            records: Vec<(Vec<(String, Vec<u8>)>, Vec<u8>, Vec<u8>)>,
        ) {
            let mut blocks = Blocks::default();
            let laid: Vec<Raw> = records
                .iter()
                .map(|(headers, key, value)| {
                    blocks.lay(headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())), key, value)
                })
                .collect();
            for (raw, (headers, key, value)) in laid.iter().zip(&records) {
                let read: Vec<_> = raw.headers().into_iter().map(|(n, v)| (n, v.to_vec())).collect();
                prop_assert_eq!(&read, headers);
                prop_assert_eq!(raw.key(), key);
                prop_assert_eq!(raw.value(), value);
            }
        }
    }
}
