//! Compares what producers know with what destinations received. Histories are judged by this program, never by eye.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use trunkline_sdk::testing::ReceivedRequest;

use crate::{Ledger, Tag};

/// What the judge is given: the producers' ledger, the receipts in their order, the dead letters, and what the bus knows.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    /// What producers sent.
    pub sent: BTreeSet<Tag>,
    /// What was acknowledged to them.
    pub acked: BTreeSet<Tag>,
    /// What a destination took (answered 2xx), in its order.
    pub received: Vec<Tag>,
    /// What is in the dead-letter queue.
    pub dead: BTreeSet<Tag>,
    /// What waits on the broker or has a journey.
    pub known: BTreeSet<Tag>,
}

/// How a history looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Acknowledged, and neither delivered nor dead.
    pub lost: usize,
    /// Deliveries more than distinct ones.
    pub dup: usize,
    /// First receipts that came after a first receipt of a later one of their key.
    pub order: usize,
    /// Delivered or dead, but never sent.
    pub phantom: usize,
    /// Acknowledged, and nowhere at all.
    pub false_ok: usize,
    /// How many were acknowledged.
    pub acked: usize,
    /// How many distinct ones were received.
    pub distinct: usize,
}

impl Oracle {
    /// With what a ledger holds and a receiver took, in the form of CloudEvents binary.
    pub fn new(ledger: &Ledger, received: &[ReceivedRequest]) -> Self {
        let tag = |request: &ReceivedRequest| {
            let id = request.header("ce-id").unwrap_or_default();
            Tag::parse(id).unwrap_or_else(|| panic!("received what no producer makes: {request:?}"))
        };
        Self {
            sent: ledger.all_sent(),
            acked: ledger.all_acked(),
            received: received.iter().map(tag).collect(),
            ..Self::default()
        }
    }

    /// The verdict.
    pub fn judge(&self) -> Verdict {
        let distinct: BTreeSet<Tag> = self.received.iter().copied().collect();
        let missing = |tag: &&Tag| !distinct.contains(tag) && !self.dead.contains(tag);
        let mut seen = BTreeSet::new();
        let mut latest: BTreeMap<(u32, u32), u32> = BTreeMap::new();
        let mut order = 0;
        for tag in self.received.iter().filter(|tag| seen.insert(**tag)) {
            let last = latest.entry((tag.producer, tag.key)).or_insert(tag.seq);
            order += usize::from(tag.seq < *last);
            *last = tag.seq.max(*last);
        }
        Verdict {
            lost: self.acked.iter().filter(missing).count(),
            dup: self.received.len() - distinct.len(),
            order,
            phantom: distinct.union(&self.dead).filter(|tag| !self.sent.contains(tag)).count(),
            false_ok: self.acked.iter().filter(missing).filter(|tag| !self.known.contains(tag)).count(),
            acked: self.acked.len(),
            distinct: distinct.len(),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, dup, order, phantom, false_ok, acked, distinct } = self;
        write!(
            f,
            "acked={acked} distinct={distinct} lost={lost} dup={dup} order={order} phantom={phantom} false-ok={false_ok}"
        )
    }
}

impl Verdict {
    /// Prints the verdict and asserts that nothing is lost, invented or out of order, and at most `dup` came again.
    #[track_caller]
    pub fn expect(&self, case: &str, dup: usize) {
        println!("{case}: {self}");
        let clean = self.lost == 0 && self.order == 0 && self.phantom == 0 && self.false_ok == 0;
        assert!(clean && self.dup <= dup, "{case}: {self}, at most {dup} dup permitted");
        assert!(self.acked > 0, "{case}: nothing was acknowledged, so nothing was tried");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: u32, seq: u32) -> Tag {
        Tag { producer: 0, key, seq }
    }

    #[track_caller]
    fn check(received: &[(u32, u32)], dead: &[(u32, u32)], expected: [usize; 5]) {
        let tags =
            |list: &[(u32, u32)]| -> Vec<Tag> { list.iter().map(|&(key, seq)| tag(key, seq)).collect() };
        let all: BTreeSet<Tag> = tags(&[(1, 0), (1, 1), (1, 2), (2, 0)]).into_iter().collect();
        let oracle = Oracle {
            sent: all.clone(),
            acked: all,
            received: tags(received),
            dead: tags(dead).into_iter().collect(),
            known: BTreeSet::from([tag(1, 2)]),
        };
        let Verdict { lost, dup, order, phantom, false_ok, .. } = oracle.judge();
        assert_eq!([lost, dup, order, phantom, false_ok], expected);
    }

    #[test]
    fn the_judge_finds_every_fault() {
        check(&[(1, 0), (2, 0), (1, 1), (1, 2)], &[], [0, 0, 0, 0, 0]);
        check(&[(1, 0), (2, 0), (1, 1)], &[(1, 2)], [0, 0, 0, 0, 0]);
        check(&[(1, 0), (2, 0), (1, 1)], &[], [1, 0, 0, 0, 0]);
        check(&[(1, 0), (1, 1), (1, 2)], &[], [1, 0, 0, 0, 1]);
        check(&[(1, 0), (1, 1), (1, 0), (1, 2), (2, 0)], &[], [0, 1, 0, 0, 0]);
        check(&[(1, 1), (1, 0), (1, 2), (2, 0)], &[], [0, 0, 1, 0, 0]);
        check(&[(1, 0), (1, 1), (1, 2), (2, 0), (3, 0)], &[], [0, 0, 0, 1, 0]);
    }

    #[test]
    fn a_tag_survives_its_id() {
        assert_eq!(Tag::parse(&tag(3, 9).id()), Some(tag(3, 9)));
        assert_eq!(Tag::parse("something"), None);
        assert_eq!(tag(3, 9).event()["id"], "0-3-9");
    }
}
