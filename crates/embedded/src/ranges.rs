//! Sets of sequences, kept as ranges.

use std::collections::BTreeMap;

/// A set of sequences, stored as disjoint ranges that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges {
    /// First to last, both inside.
    ranges: BTreeMap<i64, i64>,
    count: u64,
}

impl Ranges {
    pub(crate) fn contains(&self, sequence: i64) -> bool {
        self.ranges.range(..=sequence).next_back().is_some_and(|(_, &last)| last >= sequence)
    }

    /// Adds one; false when it was there.
    pub(crate) fn insert(&mut self, sequence: i64) -> bool {
        if self.contains(sequence) {
            return false;
        }
        self.insert_range(sequence, sequence);
        true
    }

    /// Adds every sequence from `first` to `last`.
    pub(crate) fn insert_range(&mut self, first: i64, last: i64) {
        if first > last {
            return;
        }
        // Every range that overlaps or touches becomes part of the new one.
        let (mut from, mut to) = (first, last);
        while let Some((&start, &end)) = self.ranges.range(..=to.saturating_add(1)).next_back() {
            if end < from - 1 {
                break;
            }
            (from, to) = (from.min(start), to.max(end));
            self.take_from(start);
        }
        self.ranges.insert(from, to);
        self.count += (to - from + 1).unsigned_abs();
    }

    /// The last sequence of the range that holds `sequence`.
    pub(crate) fn end_of(&self, sequence: i64) -> Option<i64> {
        let (_, &last) = self.ranges.range(..=sequence).next_back()?;
        (last >= sequence).then_some(last)
    }

    /// The first sequence of the set at or after `sequence`.
    pub(crate) fn next_at(&self, sequence: i64) -> Option<i64> {
        if self.contains(sequence) {
            return Some(sequence);
        }
        self.ranges.range(sequence..).next().map(|(&first, _)| first)
    }

    /// Takes the range that starts at `first` out and returns its last sequence.
    pub(crate) fn take_from(&mut self, first: i64) -> Option<i64> {
        let last = self.ranges.remove(&first)?;
        self.count -= (last - first + 1).unsigned_abs();
        Some(last)
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.ranges.iter().map(|(&first, &last)| (first, last))
    }
}

/// What a group has settled in a partition: all up to `prefix`, and some beyond it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settled {
    pub(crate) prefix: i64,
    beyond: Ranges,
}

impl Settled {
    pub(crate) fn up_to(prefix: i64) -> Self {
        Self { prefix, beyond: Ranges::default() }
    }

    pub(crate) fn contains(&self, sequence: i64) -> bool {
        sequence <= self.prefix || self.beyond.contains(sequence)
    }

    /// Settles one; false when it was settled before.
    pub(crate) fn insert(&mut self, sequence: i64) -> bool {
        if sequence <= self.prefix || !self.beyond.insert(sequence) {
            return false;
        }
        if let Some(last) = self.beyond.take_from(self.prefix + 1) {
            self.prefix = last;
        }
        true
    }

    /// Settles a range, as for records that are lost.
    pub(crate) fn insert_range(&mut self, first: i64, last: i64) {
        self.beyond.insert_range(first.max(self.prefix + 1), last);
        if let Some(last) = self.beyond.take_from(self.prefix + 1) {
            self.prefix = last;
        }
    }

    /// The first unsettled sequence at or after `sequence`.
    pub(crate) fn next_unsettled(&self, sequence: i64) -> i64 {
        let sequence = sequence.max(self.prefix + 1);
        self.beyond.end_of(sequence).map_or(sequence, |last| last + 1)
    }

    /// The last sequence of the unsettled run that starts at `sequence`, at most `last`.
    pub(crate) fn unsettled_until(&self, sequence: i64, last: i64) -> i64 {
        self.beyond.next_at(sequence).map_or(last, |settled| last.min(settled - 1))
    }

    /// How many of the sequences below `end` are not settled.
    pub(crate) fn unsettled(&self, end: i64) -> u64 {
        u64::try_from(end - 1 - self.prefix).unwrap_or(0).saturating_sub(self.beyond.count())
    }

    /// The ranges beyond the prefix, as pairs of little-endian 64-bit numbers.
    pub(crate) fn encode_beyond(&self) -> Vec<u8> {
        self.beyond
            .iter()
            .flat_map(|(first, last)| [first.to_le_bytes(), last.to_le_bytes()])
            .flatten()
            .collect()
    }

    /// The reverse; `None` when it is not what [`Self::encode_beyond`] writes.
    pub(crate) fn decode(prefix: i64, beyond: &[u8]) -> Option<Self> {
        let (pairs, []) = beyond.as_chunks::<16>() else { return None };
        let mut settled = Self::up_to(prefix);
        let mut after = prefix + 1;
        for pair in pairs {
            let first = i64::from_le_bytes(pair[..8].try_into().ok()?);
            let last = i64::from_le_bytes(pair[8..].try_into().ok()?);
            if first <= after || last < first {
                return None;
            }
            settled.beyond.ranges.insert(first, last);
            settled.beyond.count += (last - first + 1).unsigned_abs();
            after = last + 1;
        }
        Some(settled)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn settling_in_any_order_agrees_with_a_plain_set(sequences in proptest::collection::vec(1_i64..60, 0..80)) {
            let mut settled = Settled::default();
            let mut plain = BTreeSet::new();
            for sequence in sequences {
                prop_assert_eq!(settled.insert(sequence), plain.insert(sequence));
                let prefix = (1..).take_while(|next| plain.contains(next)).last().unwrap_or(0);
                prop_assert_eq!(settled.prefix, prefix);
                prop_assert_eq!(settled.unsettled(61), 60 - plain.len() as u64);
                for probe in 1..60 {
                    prop_assert_eq!(settled.contains(probe), plain.contains(&probe));
                    let next = (probe..).find(|next| !plain.contains(next)).unwrap();
                    prop_assert_eq!(settled.next_unsettled(probe), next);
                }
                let decoded = Settled::decode(settled.prefix, &settled.encode_beyond());
                prop_assert_eq!(decoded, Some(settled.clone()));
            }
        }
    }

    #[test]
    fn a_range_settles_what_is_left_of_it() {
        let mut settled = Settled::default();
        settled.insert(3);
        settled.insert_range(2, 5);
        assert_eq!((settled.prefix, settled.unsettled(7)), (0, 2));
        settled.insert(1);
        assert_eq!((settled.prefix, settled.unsettled(7)), (5, 1));
    }
}
