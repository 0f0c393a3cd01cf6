//! Records that say who they are, and the proof that all of them came through, unchanged and in order.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, bail};
use bytes::Bytes;

/// Bytes of a payload, unless others are asked for.
pub const PAYLOAD_BYTES: usize = 1024;

/// Where the key stands in a payload, in hexadecimal.
pub const KEY_AT: std::ops::Range<usize> = 8..16;
const SEQUENCE_AT: std::ops::Range<usize> = 30..38;

/// Makes payloads: JSON of one size, in which key and sequence stand at fixed places and the rest does not compress.
#[derive(Debug)]
pub struct Payloads {
    bytes: usize,
    noise: String,
}

impl Default for Payloads {
    fn default() -> Self {
        Self::new(PAYLOAD_BYTES)
    }
}

impl Payloads {
    /// Payloads of so many bytes, at least 256.
    pub fn new(bytes: usize) -> Self {
        // xorshift64, so that every run has the same bytes.
        let mut state = 88_172_645_463_325_252_u64;
        let mut letter = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"[(state >> 58) as usize],
            )
        };
        Self { bytes: bytes.max(256), noise: (0..1 << 16).map(|_| letter()).collect() }
    }

    /// The payload with this number of this key; the same for the same.
    pub fn make(&self, key: u32, sequence: u32) -> Bytes {
        let mut text = String::with_capacity(self.bytes);
        let head = write!(
            text,
            r#"{{"key":"{key:08x}","sequence":"{sequence:08x}","customer":{{"id":"c-{key}","email":"ada@example.com"}},"total":{{"currency":"EUR","minor_units":{}}},"status":"PAID","note":""#,
            1000 + u64::from(sequence),
        );
        debug_assert!(head.is_ok(), "a string takes everything");
        let filler = self.bytes - text.len() - 2;
        let from = (key as usize * 7919 + sequence as usize * 104_729) % (self.noise.len() - filler);
        text.push_str(&self.noise[from..from + filler]);
        text.push_str("\"}");
        text.into()
    }
}

/// What came through, or what was to come through.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Key and sequence with the hash of the payload.
    records: Vec<(u64, u64)>,
    last: HashMap<u32, u32>,
    inversions: u64,
}

impl Ledger {
    /// The first `count` payloads of a key.
    pub fn expect(&mut self, payloads: &Payloads, key: u32, count: u32) {
        for sequence in 0..count {
            self.records.push((identity(key, sequence), hash(&payloads.make(key, sequence))));
        }
    }

    /// A payload that came through, in the order of its key.
    ///
    /// # Errors
    /// Bytes that are none of ours.
    pub fn add(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let (key, sequence) = (number(payload, KEY_AT)?, number(payload, SEQUENCE_AT)?);
        if self.last.insert(key, sequence).is_some_and(|last| last >= sequence) {
            self.inversions += 1;
        }
        self.records.push((identity(key, sequence), hash(payload)));
        Ok(())
    }

    /// Compares what came through with what was to.
    ///
    /// # Errors
    /// Another number, other payloads, or a key whose order was not kept.
    pub fn check(mut self, mut expected: Self) -> anyhow::Result<()> {
        if self.inversions > 0 {
            bail!("{} records came before an earlier one of their key", self.inversions);
        }
        if self.records.len() != expected.records.len() {
            bail!("{} records came through, not {}", self.records.len(), expected.records.len());
        }
        if self.checksum() != expected.checksum() {
            bail!("the {} records that came through are not those sent", self.records.len());
        }
        Ok(())
    }

    /// Over the sorted records.
    fn checksum(&mut self) -> u64 {
        self.records.sort_unstable();
        let mut hasher = DefaultHasher::new();
        self.records.hash(&mut hasher);
        hasher.finish()
    }
}

fn identity(key: u32, sequence: u32) -> u64 {
    u64::from(key) << 32 | u64::from(sequence)
}

fn hash(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(payload);
    hasher.finish()
}

fn number(payload: &[u8], place: std::ops::Range<usize>) -> anyhow::Result<u32> {
    let text = payload.get(place).and_then(|digits| str::from_utf8(digits).ok());
    let number = text.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    number.context("a record that came through is none of those sent")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(came: &[(u32, u32)], expected: Option<&str>) {
        let payloads = Payloads::default();
        let (mut ledger, mut wanted) = (Ledger::default(), Ledger::default());
        wanted.expect(&payloads, 1, 2);
        wanted.expect(&payloads, 0xabc, 1);
        for (key, sequence) in came {
            ledger.add(&payloads.make(*key, *sequence)).unwrap();
        }
        assert_eq!(ledger.check(wanted).err().map(|error| error.to_string()).as_deref(), expected);
    }

    #[test]
    fn what_came_through_is_compared() {
        check(&[(0xabc, 0), (1, 0), (1, 1)], None);
        check(&[(1, 1), (1, 0), (0xabc, 0)], Some("1 records came before an earlier one of their key"));
        check(&[(1, 0), (1, 1)], Some("2 records came through, not 3"));
        check(&[(1, 0), (1, 1), (0xabc, 1)], Some("the 3 records that came through are not those sent"));
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let payloads = Payloads::default();
        let payload = payloads.make(7, 9);
        assert_eq!(payload.len(), PAYLOAD_BYTES);
        let mut changed = payload.to_vec();
        changed[900] ^= 1;
        assert_ne!(hash(&payload), hash(&changed));
        assert!(Ledger::default().add(b"foreign").is_err());
    }
}
