//! What an intake is told by the tasks that hold its leases.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use trunkline_broker::Intaken;

use super::partition::Partition;

/// News for an intake, and which of its channels may have records.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pub(crate) notify: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    news: VecDeque<(Intaken, Option<Arc<Partition>>)>,
    ready: BTreeSet<usize>,
}

impl Inbox {
    pub(crate) fn tell(&self, news: Intaken) {
        self.lock().news.push_back((news, None));
        self.notify.notify_one();
    }

    /// Tells of a new lease; its records come only after that.
    pub(crate) fn assign(&self, news: Intaken, partition: Arc<Partition>) {
        self.lock().news.push_back((news, Some(partition)));
        self.notify.notify_one();
    }

    pub(crate) fn take_news(&self) -> Option<Intaken> {
        let (news, partition) = self.lock().news.pop_front()?;
        if let Some(partition) = partition {
            partition.announced();
        }
        Some(news)
    }

    /// The channel in this slot may have records.
    pub(crate) fn ready(&self, slot: usize) {
        if self.lock().ready.insert(slot) {
            self.notify.notify_one();
        }
    }

    pub(crate) fn take_ready(&self) -> BTreeSet<usize> {
        std::mem::take(&mut self.lock().ready)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
