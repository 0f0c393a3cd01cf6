//! Judges a history of numbered records: what was lost, doubled, turned round or invented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::PublishError;
use crate::record::{Outgoing, Received};

use super::numbered::{Id, id, identify};

/// What was sent, confirmed and received, from any number of tasks.
#[derive(Debug, Default)]
pub struct History {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    sent: BTreeSet<Id>,
    confirmed: BTreeSet<Id>,
    received: Vec<Id>,
    distinct: BTreeSet<Id>,
}

/// What a history amounts to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Confirmed, and never received.
    pub lost: Vec<Id>,
    /// How often something came again.
    pub duplicates: usize,
    /// Came for the first time after a later number of its key had come.
    pub inverted: Vec<Id>,
    /// Received, and never sent.
    pub phantoms: Vec<Id>,
}

impl History {
    /// Notes that a batch is about to be published.
    pub fn sending(&self, batch: &[Outgoing]) {
        self.lock().sent.extend(batch.iter().map(|record| identify(&record.key, &record.value)));
    }

    /// Notes what a publish answered; gives back the records that were not confirmed.
    pub fn answered(&self, batch: Vec<Outgoing>, answer: &Result<(), PublishError>) -> Vec<Outgoing> {
        let failed: BTreeSet<usize> = match answer {
            Ok(()) => BTreeSet::new(),
            Err(error) => error.failures.iter().map(|failure| failure.index).collect(),
        };
        let mut entries = self.lock();
        let mut again = Vec::new();
        for (index, record) in batch.into_iter().enumerate() {
            if failed.contains(&index) {
                again.push(record);
            } else {
                entries.confirmed.insert(identify(&record.key, &record.value));
            }
        }
        again
    }

    /// Notes received records, in the order they came.
    pub fn received(&self, records: &[Received]) {
        self.received_ids(records.iter().map(id));
    }

    fn received_ids(&self, ids: impl Iterator<Item = Id>) {
        let mut entries = self.lock();
        for id in ids {
            entries.distinct.insert(id.clone());
            entries.received.push(id);
        }
    }

    /// How many different records have come.
    pub fn distinct(&self) -> usize {
        self.lock().distinct.len()
    }

    /// Whether everything confirmed has come.
    pub fn complete(&self) -> bool {
        let entries = self.lock();
        entries.confirmed.is_subset(&entries.distinct)
    }

    /// Judges.
    pub fn verdict(&self) -> Verdict {
        let entries = self.lock();
        let mut verdict = Verdict {
            lost: entries.confirmed.difference(&entries.distinct).cloned().collect(),
            phantoms: entries.distinct.difference(&entries.sent).cloned().collect(),
            ..Verdict::default()
        };
        let mut seen = BTreeSet::new();
        let mut latest: BTreeMap<&str, u64> = BTreeMap::new();
        for id in &entries.received {
            if !seen.insert(id) {
                verdict.duplicates += 1;
                continue;
            }
            let latest = latest.entry(&id.0).or_insert(id.1);
            if id.1 < *latest {
                verdict.inverted.push(id.clone());
            }
            *latest = id.1.max(*latest);
        }
        verdict
    }

    /// Fails unless nothing was lost, turned round or invented; duplicates may be.
    #[track_caller]
    pub fn assert_at_least_once(&self) {
        let verdict = self.verdict();
        let duplicates = verdict.duplicates;
        assert_eq!(verdict, Verdict { duplicates, ..Verdict::default() });
    }

    /// Fails unless everything came once and in order.
    #[track_caller]
    pub fn assert_exactly_once(&self) {
        assert_eq!(self.verdict(), Verdict::default());
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // A case that panicked has failed anyway; its history may still be judged.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::ChannelName;
    use crate::conformance::numbered::record;
    use crate::error::{PublishFailure, RecordFailure};

    fn ids(numbers: &[u64]) -> Vec<Id> {
        numbers.iter().map(|number| ("k".to_owned(), *number)).collect()
    }

    #[track_caller]
    fn check(received: &[u64], expected: Verdict) {
        let history = History::default();
        let channel = ChannelName::events();
        let batch: Vec<_> = (0..4).map(|number| record(&channel, "k", number)).collect();
        history.sending(&batch);
        let failure = PublishFailure::Unroutable(channel);
        let answer = Err(PublishError { failures: vec![RecordFailure { index: 3, failure }] });
        assert_eq!(history.answered(batch.clone(), &answer), batch[3..]);
        history.received_ids(ids(received).into_iter());
        assert_eq!(history.verdict(), expected);
    }

    #[test]
    fn a_clean_history_is_clean() {
        check(&[0, 1, 2], Verdict::default());
    }

    #[test]
    fn an_unconfirmed_record_may_come() {
        check(&[0, 1, 2, 3], Verdict::default());
    }

    #[test]
    fn each_fault_is_named() {
        check(&[0, 2], Verdict { lost: ids(&[1]), ..Verdict::default() });
        check(&[0, 2, 1], Verdict { inverted: ids(&[1]), ..Verdict::default() });
        check(&[0, 1, 2, 7], Verdict { phantoms: ids(&[7]), ..Verdict::default() });
        check(&[0, 1, 1, 2], Verdict { duplicates: 1, ..Verdict::default() });
    }

    #[test]
    fn redelivery_of_something_seen_is_no_inversion() {
        check(&[0, 1, 2, 0, 1, 2], Verdict { duplicates: 3, ..Verdict::default() });
    }
}
