//! What a consumer knows of one leased partition: the records between the settled prefix and the last one fetched.

use std::collections::{BTreeSet, VecDeque};

use crate::raw::Raw;

/// Records of a partition that were fetched and are not yet part of the settled prefix, in order.
#[derive(Debug)]
pub(crate) struct Window {
    entries: VecDeque<Entry>,
    /// How many of the first entries were handed out, ever.
    handed: usize,
    /// Offsets given back, waiting to be handed out again.
    returned: BTreeSet<i64>,
    /// How many are in somebody's hands.
    out: usize,
    /// The offset after the last one fetched.
    fetched: i64,
}

#[derive(Debug)]
struct Entry {
    offset: i64,
    stored: i64,
    redelivered: u32,
    state: State,
    raw: Raw,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Out,
    Settled,
}

/// A fetched record.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) stored: i64,
    pub(crate) raw: Raw,
}

/// A record to hand out.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) offset: i64,
    pub(crate) stored: i64,
    pub(crate) redelivered: u32,
    pub(crate) raw: Raw,
}

impl Window {
    /// Begins at an offset before which all is settled.
    pub(crate) fn new(position: i64) -> Self {
        Self { entries: VecDeque::new(), handed: 0, returned: BTreeSet::new(), out: 0, fetched: position }
    }

    /// A record was fetched. One that was fetched before is ignored.
    pub(crate) fn push(&mut self, fetched: Fetched) -> bool {
        let Fetched { offset, stored, raw } = fetched;
        if offset < self.fetched {
            return false;
        }
        self.entries.push_back(Entry { offset, stored, redelivered: 0, state: State::Waiting, raw });
        self.fetched = offset + 1;
        true
    }

    /// All before it is settled.
    pub(crate) fn position(&self) -> i64 {
        self.entries.front().map_or(self.fetched, |entry| entry.offset)
    }

    /// The offset after the last one fetched.
    pub(crate) fn fetched(&self) -> i64 {
        self.fetched
    }

    /// The log is another one: forgets everything and begins anew.
    pub(crate) fn restart(&mut self, position: i64) {
        *self = Self::new(position);
    }

    /// How many are in somebody's hands.
    pub(crate) fn out(&self) -> usize {
        self.out
    }

    /// Whether there is something to hand out.
    pub(crate) fn is_ready(&self) -> bool {
        !self.returned.is_empty() || self.handed < self.entries.len()
    }

    /// Forgets all records. Returns how many waited to be handed out, and their bytes.
    pub(crate) fn clear(&mut self) -> (usize, usize) {
        let waiting = self.entries.iter().filter(|entry| entry.state == State::Waiting);
        let sum = waiting.fold((0, 0), |(records, bytes), entry| (records + 1, bytes + entry.raw.len()));
        *self = Self::new(self.position());
        sum
    }

    /// Hands out the next record if `fits` says so of its bytes; given-back ones first.
    pub(crate) fn take(&mut self, fits: impl FnOnce(usize) -> bool) -> Option<Taken> {
        let index = match self.returned.first() {
            Some(offset) => self.find(*offset)?,
            None => self.handed,
        };
        let entry = self.entries.get_mut(index)?;
        if !fits(entry.raw.len()) {
            return None;
        }
        entry.state = State::Out;
        let taken = Taken {
            offset: entry.offset,
            stored: entry.stored,
            redelivered: entry.redelivered,
            raw: entry.raw.clone(),
        };
        entry.redelivered = entry.redelivered.saturating_add(1);
        self.out += 1;
        if index == self.handed {
            self.handed += 1;
        } else {
            self.returned.pop_first();
        }
        Some(taken)
    }

    /// A record in somebody's hands is settled.
    pub(crate) fn settle(&mut self, offset: i64) {
        let Some(index) = self.find(offset) else { return };
        let entry = &mut self.entries[index];
        if entry.state != State::Out {
            return;
        }
        entry.state = State::Settled;
        self.out -= 1;
        while self.entries.front().is_some_and(|entry| entry.state == State::Settled) {
            self.entries.pop_front();
            self.handed -= 1;
        }
    }

    /// A record in somebody's hands comes back.
    pub(crate) fn give_back(&mut self, offset: i64) -> bool {
        let Some(index) = self.find(offset) else { return false };
        let entry = &mut self.entries[index];
        if entry.state != State::Out {
            return false;
        }
        entry.state = State::Waiting;
        self.out -= 1;
        self.returned.insert(offset);
        true
    }

    /// Whether a given-back record stands before this one.
    pub(crate) fn is_preceded_by_returned(&self, offset: i64) -> bool {
        self.returned.first().is_some_and(|first| *first < offset)
    }

    /// Where the settled prefix would end if these were settled too.
    pub(crate) fn position_after(&self, offsets: &BTreeSet<i64>) -> i64 {
        let stays = |entry: &&Entry| entry.state != State::Settled && !offsets.contains(&entry.offset);
        self.entries.iter().find(stays).map_or(self.fetched, |entry| entry.offset)
    }

    fn find(&self, offset: i64) -> Option<usize> {
        // Offsets seldom have gaps, so the first guess is nearly always right.
        let first = self.entries.front()?.offset;
        let guess = usize::try_from(offset - first).ok()?;
        if self.entries.get(guess).is_some_and(|entry| entry.offset == offset) {
            return Some(guess);
        }
        self.entries.binary_search_by_key(&offset, |entry| entry.offset).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::raw::raw_with;
    use proptest::prelude::*;

    fn window(offsets: &[i64]) -> Window {
        let mut window = Window::new(5);
        for &offset in offsets {
            assert!(window.push(Fetched { offset, stored: offset * 10, raw: raw_with(&[], b"", b"value") }));
        }
        window
    }

    fn take_all(window: &mut Window) -> Vec<i64> {
        std::iter::from_fn(|| window.take(|_| true)).map(|taken| taken.offset).collect()
    }

    #[test]
    fn the_position_is_the_settled_prefix() {
        let mut window = window(&[5, 6, 9, 12]);
        assert_eq!(take_all(&mut window), [5, 6, 9, 12]);
        window.settle(6);
        window.settle(12);
        assert_eq!((window.position(), window.out()), (5, 2));
        assert_eq!(window.position_after(&BTreeSet::from([5])), 9);
        window.settle(5);
        assert_eq!(window.position(), 9);
        assert_eq!(window.position_after(&BTreeSet::from([9])), 13);
        window.settle(9);
        assert_eq!((window.position(), window.out()), (13, 0));
    }

    #[test]
    fn given_back_comes_first_and_in_order() {
        let mut window = window(&[5, 6, 7, 8]);
        for _ in 0..3 {
            window.take(|_| true).unwrap();
        }
        assert!(window.give_back(6) && window.give_back(5));
        assert!(!window.give_back(6));
        assert!(window.is_preceded_by_returned(7) && !window.is_preceded_by_returned(5));
        assert_eq!(take_all(&mut window), [5, 6, 8]);
    }

    #[test]
    fn what_does_not_fit_stays() {
        let mut window = window(&[5]);
        assert!(window.take(|bytes| bytes > 100).is_none());
        assert!(window.is_ready());
        assert_eq!(take_all(&mut window), [5]);
    }

    #[test]
    fn a_record_fetched_again_is_ignored() {
        let mut window = window(&[5, 6]);
        assert!(!window.push(Fetched { offset: 6, stored: 0, raw: raw_with(&[], b"", b"again") }));
        assert_eq!(take_all(&mut window), [5, 6]);
    }

    proptest! {
        /// Any handing out, settling and giving back ends with everything settled once, nothing passed over.
        #[test]
        fn nothing_is_passed_over(gaps in prop::collection::vec(1i64..4, 1..40), acts: Vec<(bool, prop::sample::Index)>) {
            let offsets: Vec<i64> = gaps.iter().scan(5, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut window = window(&offsets);
            let mut out: Vec<i64> = Vec::new();
            let mut settled = BTreeSet::new();
            for (settle, which) in acts {
                out.extend(window.take(|_| true).map(|taken| taken.offset));
                if out.is_empty() { continue }
                let offset = out.remove(which.index(out.len()));
                if settle { window.settle(offset); settled.insert(offset); } else { window.give_back(offset); }
                let first_unsettled = offsets.iter().find(|offset| !settled.contains(offset));
                prop_assert_eq!(window.position(), *first_unsettled.unwrap_or(&(offsets.last().unwrap() + 1)));
                prop_assert_eq!(window.out(), out.len());
            }
            for offset in out { window.settle(offset); settled.insert(offset); }
            for offset in take_all(&mut window) { prop_assert!(settled.insert(offset)); window.settle(offset); }
            prop_assert_eq!(settled.len(), offsets.len());
            prop_assert_eq!(window.position(), offsets.last().unwrap() + 1);
        }
    }
}
