//! The thread that makes commits durable and confirms them.
//!
//! It runs beside the writer: while one group waits for the disk the next is written, and several commits that wait
//! become durable by one flush. The order is what matters: first the write-ahead log is durable, then the side file
//! knows, then everybody may see it, then the callers get their answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::catalog::lock;
use crate::core::Core;
use crate::error::EngineError;
use crate::receipt::Token;
use crate::request::Store;
use crate::side::SideFile;
use crate::writer::{Effects, refuse};

/// The writer waits this long at most for a busy disk before it writes the next group.
const LINGER: Duration = Duration::from_millis(5);

/// What the writer passes on.
#[derive(Debug)]
pub(crate) enum Step {
    /// A commit to make durable and confirm.
    Confirm(Committed),
    /// Answers when everything before is done.
    Barrier(SyncSender<()>),
}

/// A commit that is not durable yet.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) commits: i64,
    /// Lanes and their highest sequence.
    pub(crate) highest: Vec<(i64, i64)>,
    pub(crate) effects: Effects,
    pub(crate) stores: Vec<Store>,
}

/// Makes commits durable: by a thread of its own, or by the writer itself when nothing else waits.
#[derive(Debug)]
pub(crate) struct Confirmer {
    core: Arc<Core>,
    pending: Mutex<Pending>,
    /// The thread has nothing to do.
    idle: Condvar,
    files: Mutex<Synced>,
}

#[derive(Debug, Default)]
struct Pending {
    /// Steps that the thread has not done yet.
    steps: usize,
    /// How long the thread's last flush took.
    flush: Duration,
}

/// What is made durable.
#[derive(Debug)]
struct Synced {
    core: Arc<Core>,
    wal: File,
    side: SideFile,
    /// The side file is ahead of the disk.
    unsynced: bool,
}

impl Confirmer {
    pub(crate) fn new(core: Arc<Core>, wal: File, side: SideFile) -> Self {
        let files = Mutex::new(Synced { core: core.clone(), wal, side, unsynced: false });
        Self { core, pending: Mutex::default(), idle: Condvar::new(), files }
    }

    /// The thread: works until the writer is gone.
    pub(crate) fn run(&self, steps: &Receiver<Step>) {
        while let Ok(first) = steps.recv() {
            let mut files = lock(&self.files);
            let mut commits = Vec::new();
            let mut done = 0;
            let begun = Instant::now();
            for step in std::iter::once(first).chain(steps.try_iter()) {
                done += 1;
                match step {
                    Step::Confirm(committed) => commits.push(committed),
                    Step::Barrier(waits) => {
                        files.confirm(std::mem::take(&mut commits));
                        if waits.send(()).is_err() {
                            tracing::debug!("the writer does not wait any more");
                        }
                    }
                }
            }
            files.confirm(commits);
            let mut pending = lock(&self.pending);
            pending.steps -= done;
            pending.flush = begun.elapsed();
            if pending.steps == 0 {
                self.idle.notify_all();
            }
        }
        lock(&self.files).sync_side();
    }

    /// Passes a step to the thread.
    pub(crate) fn pass(&self, to: &SyncSender<Step>, step: Step) {
        lock(&self.pending).steps += 1;
        if to.send(step).is_err() {
            self.core.stop(EngineError::Closed);
        }
    }

    /// Whether everything passed on is done, so that the writer may confirm by itself.
    pub(crate) fn is_idle(&self) -> bool {
        lock(&self.pending).steps == 0
    }

    /// Waits while the thread is busy, but no longer than part of a flush: what arrives meanwhile makes one larger
    /// group, and still all that was written during a flush is ready for the next.
    pub(crate) fn linger(&self) {
        let pending = lock(&self.pending);
        let limit = (pending.flush / 2).min(LINGER);
        let waited = self.idle.wait_timeout_while(pending, limit, |pending| pending.steps > 0);
        drop(waited);
    }

    /// Confirms on the caller's thread, which saves two changes of threads where only one caller waits.
    pub(crate) fn confirm(&self, committed: Committed) {
        lock(&self.files).confirm(vec![committed]);
    }

    /// Gives new lanes their place in the side file.
    pub(crate) fn add_lanes(&self, lanes: &[(i64, i64)]) {
        lock(&self.files).add_lanes(lanes);
    }

    /// Makes the side file durable, if there is something new in it.
    pub(crate) fn sync_side(&self) {
        lock(&self.files).sync_side();
    }
}

impl Synced {
    fn confirm(&mut self, commits: Vec<Committed>) {
        let Some(last) = commits.last().map(|committed| committed.commits) else { return };
        if self.core.stopped().is_none()
            && let Err(error) = self.make_durable(last, &commits)
        {
            self.core.stop(error);
        }
        match self.core.stopped() {
            Some(error) => commits.into_iter().for_each(|committed| refuse(committed.stores, &error)),
            None => commits.into_iter().for_each(|committed| self.show(committed)),
        }
    }

    fn make_durable(&mut self, last: i64, commits: &[Committed]) -> Result<(), EngineError> {
        self.core.options.disk.sync(&self.wal).map_err(disk("making records durable"))?;
        let highest = commits.iter().flat_map(|committed| committed.highest.iter().copied());
        let highest: BTreeMap<i64, i64> = highest.collect();
        self.side.note(last, highest.into_iter()).map_err(disk("writing the side file"))?;
        self.unsynced = true;
        Ok(())
    }

    fn show(&self, committed: Committed) {
        let Committed { effects, stores, .. } = committed;
        for (lane, stored, added) in effects.delayed {
            if added { lane.delayed_added(stored) } else { lane.delayed_joined(stored) }
        }
        for ((_, partition), (group, sequences)) in effects.settled {
            group.settle(partition, &sequences, self.core.options.drain);
        }
        for (channel, partition, ends) in effects.ends {
            let lane = &channel.lanes[usize::from(partition)];
            lane.set_first(ends.first);
            if lane.end() < ends.next {
                lane.set_end(ends.next);
                channel.wake(partition);
            }
        }
        for Store { inputs, reply, .. } in stores {
            for receipt in inputs {
                // A receipt of another engine gives its record back there.
                drop(receipt.into_token::<Token>());
            }
            if reply.send(Ok(())).is_err() {
                tracing::debug!("nobody waits for the answer any more");
            }
        }
    }

    fn add_lanes(&mut self, lanes: &[(i64, i64)]) {
        let added = lanes.iter().try_for_each(|(lane, highest)| self.side.add_lane(*lane, *highest));
        if let Err(error) = added.and_then(|()| self.side.sync()).map_err(disk("writing the side file")) {
            self.core.stop(error);
        }
    }

    fn sync_side(&mut self) {
        if !std::mem::take(&mut self.unsynced) {
            return;
        }
        if let Err(error) = self.side.sync().map_err(disk("making the side file durable")) {
            self.core.stop(error);
        }
    }
}

fn disk(what: &'static str) -> impl Fn(std::io::Error) -> EngineError {
    move |source| EngineError::Disk { what, source: Arc::new(source) }
}
