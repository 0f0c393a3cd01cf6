//! Batches that are not answered yet.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use tokio::sync::oneshot;
use trunkline_broker::{PublishFailure, RecordFailure};

/// Batches by ticket.
#[derive(Debug, Default)]
pub(super) struct Orders {
    open: HashMap<u64, Open>,
    /// Tickets in the order of their deadlines: all batches have the same patience.
    deadlines: VecDeque<(Instant, u64)>,
    last: u64,
}

#[derive(Debug)]
struct Open {
    reply: oneshot::Sender<Vec<RecordFailure>>,
    failures: Vec<RecordFailure>,
    /// Copies that have no outcome yet, by the record's index; a record of several groups is there several times.
    waiting: usize,
}

impl Orders {
    /// Opens a batch of so many copies.
    pub(super) fn open(
        &mut self,
        reply: oneshot::Sender<Vec<RecordFailure>>,
        until: Instant,
        copies: usize,
    ) -> u64 {
        self.last += 1;
        self.open.insert(self.last, Open { reply, failures: Vec::new(), waiting: copies });
        self.deadlines.push_back((until, self.last));
        if copies == 0 {
            self.answer(self.last);
        }
        self.last
    }

    /// One copy has its outcome; a batch that has all is answered.
    pub(super) fn settle(&mut self, ticket: u64, failure: Option<RecordFailure>) {
        let Some(open) = self.open.get_mut(&ticket) else { return };
        open.failures.extend(failure);
        open.waiting = open.waiting.saturating_sub(1);
        if open.waiting == 0 {
            self.answer(ticket);
        }
    }

    /// When the next batch loses its patience.
    pub(super) fn next_deadline(&mut self) -> Option<Instant> {
        while let Some((until, ticket)) = self.deadlines.front() {
            if self.open.contains_key(ticket) {
                return Some(*until);
            }
            self.deadlines.pop_front();
        }
        None
    }

    /// The tickets whose patience is over.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<u64> {
        let mut expired = Vec::new();
        while self.next_deadline().is_some_and(|until| until <= now) {
            expired.extend(self.deadlines.pop_front().map(|(_, ticket)| ticket));
        }
        expired
    }

    /// Answers a batch now: what has no outcome failed like that.
    pub(super) fn give_up(
        &mut self,
        ticket: u64,
        unanswered: impl IntoIterator<Item = usize>,
        failure: impl Fn() -> PublishFailure,
    ) {
        if let Some(open) = self.open.get_mut(&ticket) {
            let failed = unanswered.into_iter().map(|index| RecordFailure { index, failure: failure() });
            open.failures.extend(failed);
            self.answer(ticket);
        }
    }

    pub(super) fn tickets(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    fn answer(&mut self, ticket: u64) {
        let Some(Open { reply, mut failures, .. }) = self.open.remove(&ticket) else { return };
        // A record with several copies fails once, for the reason that is worst.
        failures
            .sort_by_key(|failed| (failed.index, !matches!(failed.failure, PublishFailure::Unroutable(_))));
        failures.dedup_by_key(|failed| failed.index);
        if reply.send(failures).is_err() {
            tracing::debug!("nobody waits for the outcome of a batch any more");
        }
    }
}
