//! How records look on disk, and the checksums that prove them whole.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};
use trunkline_broker::Headers;

/// A record as the database holds it.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) sequence: i64,
    /// Milliseconds since 1970.
    pub(crate) stored: i64,
    pub(crate) key: Bytes,
    pub(crate) headers: Headers,
    pub(crate) value: Bytes,
}

/// Checksum of what a publisher gave: key, encoded headers and value, each with its length.
pub(crate) fn body_checksum(key: &[u8], headers: &[u8], value: &[u8]) -> u32 {
    [key, headers, value].iter().fold(0, |checksum, part| {
        crc32c_append(crc32c_append(checksum, &(part.len() as u64).to_le_bytes()), part)
    })
}

/// Checksum of a whole record: its body and where it stands. A row that strayed into another place is found by it.
pub(crate) fn record_checksum(lane: i64, sequence: i64, stored: i64, body: u32) -> u32 {
    checksum_of(&[lane, sequence, stored, i64::from(body)])
}

/// Checksum of a row of numbers.
pub(crate) fn checksum_of(numbers: &[i64]) -> u32 {
    numbers.iter().fold(0, |checksum, number| crc32c_append(checksum, &number.to_le_bytes()))
}

/// Checksum of a row of numbers that ends with a blob.
pub(crate) fn checksum_with(numbers: &[i64], blob: &[u8]) -> u32 {
    crc32c_append(checksum_of(numbers), blob)
}

/// Headers, each as length of name, name, length of value, value; lengths are little-endian, 32 bits.
pub(crate) fn encode_headers(headers: &Headers) -> Vec<u8> {
    let length = headers.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
    let mut encoded = Vec::with_capacity(length);
    for (name, value) in headers {
        for part in [name.as_bytes(), value] {
            // A part that long is refused before, by the channel's longest record.
            encoded.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            encoded.extend_from_slice(part);
        }
    }
    encoded
}

/// The reverse; the values are slices of `encoded`. `None` when it is not what [`encode_headers`] writes.
pub(crate) fn decode_headers(mut encoded: Bytes) -> Option<Headers> {
    let mut headers = Vec::new();
    while !encoded.is_empty() {
        let name = take_part(&mut encoded)?;
        let value = take_part(&mut encoded)?;
        headers.push((String::from_utf8(name.to_vec()).ok()?, value));
    }
    Some(headers)
}

fn take_part(encoded: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_le_bytes(encoded.get(..4)?.try_into().ok()?) as usize;
    let part = encoded.get(4..4 + length).map(|part| encoded.slice_ref(part))?;
    *encoded = encoded.slice(4 + length..);
    Some(part)
}

/// The partition of a key. Changing this would break the order of the keys that wait, so it never changes.
pub(crate) fn partition_of(key: &[u8], partitions: u16) -> u16 {
    // The checksum's low bits are linear in the key's; multiplying mixes the high ones in.
    let mixed = u64::from(crc32c(key)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    u16::try_from(mixed % u64::from(partitions.max(1))).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_survive(headers in proptest::collection::vec(("[a-z-]{0,9}", proptest::collection::vec(any::<u8>(), 0..20)), 0..6)) {
            let headers: Headers = headers.into_iter().map(|(name, value)| (name, value.into())).collect();
            prop_assert_eq!(decode_headers(encode_headers(&headers).into()), Some(headers));
        }

        #[test]
        fn decoding_garbage_does_not_panic(garbage in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode_headers(garbage.into());
        }

        #[test]
        fn a_byte_moved_between_parts_is_another_body(key in ".{1,9}", value in ".{0,9}") {
            let (key, value) = (key.as_bytes(), value.as_bytes());
            let longer = [&key[key.len() - 1..], value].concat();
            prop_assert_ne!(body_checksum(key, b"", value), body_checksum(&key[..key.len() - 1], b"", &longer));
        }
    }

    #[test]
    fn keys_spread_over_partitions() {
        let mut counts = [0; 8];
        for key in 0..8000 {
            counts[usize::from(partition_of(format!("customer-{key}").as_bytes(), 8))] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
