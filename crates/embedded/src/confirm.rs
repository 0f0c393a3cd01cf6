//! The thread that makes commits durable and confirms them.
//!
//! It runs beside the writer: while one group waits for the disk the next is written, and several commits that wait
//! become durable by one flush. The order is what matters: first the write-ahead log is durable, then the side file
//! knows, then everybody may see it, then the callers get their answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use crate::core::Core;
use crate::error::EngineError;
use crate::receipt::Token;
use crate::request::Store;
use crate::side::SideFile;
use crate::writer::{Effects, refuse};

/// How long the side file may be behind on the disk itself.
const SIDE_SYNC: Duration = Duration::from_millis(100);

/// What the writer passes on.
#[derive(Debug)]
pub(crate) enum Step {
    /// A commit to make durable and confirm.
    Confirm(Committed),
    /// New lanes with their highest sequence, about to be committed.
    Lanes(Vec<(i64, i64)>),
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

/// The thread's state.
pub(crate) struct Confirmer {
    core: Arc<Core>,
    wal: File,
    side: SideFile,
    steps: Receiver<Step>,
    /// The side file is ahead of the disk.
    unsynced: bool,
}

impl Confirmer {
    pub(crate) fn new(core: Arc<Core>, wal: File, side: SideFile, steps: Receiver<Step>) -> Self {
        Self { core, wal, side, steps, unsynced: false }
    }

    /// Works until the writer is gone.
    pub(crate) fn run(mut self) {
        loop {
            let first = if self.unsynced {
                self.steps.recv_timeout(SIDE_SYNC)
            } else {
                self.steps.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match first {
                Ok(step) => self.work(step),
                Err(RecvTimeoutError::Timeout) => self.sync_side(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.sync_side();
    }

    fn work(&mut self, step: Step) {
        let mut commits = Vec::new();
        let mut next = Some(step);
        while let Some(step) = next {
            match step {
                Step::Confirm(committed) => commits.push(committed),
                Step::Lanes(lanes) => self.add_lanes(&lanes),
                Step::Barrier(done) => {
                    self.confirm(std::mem::take(&mut commits));
                    if done.send(()).is_err() {
                        tracing::debug!("the writer does not wait any more");
                    }
                }
            }
            next = self.steps.try_recv().ok();
        }
        self.confirm(commits);
    }

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
        self.unsynced = false;
        if let Err(error) = self.side.sync().map_err(disk("making the side file durable")) {
            self.core.stop(error);
        }
    }
}

fn disk(what: &'static str) -> impl Fn(std::io::Error) -> EngineError {
    move |source| EngineError::Disk { what, source: Arc::new(source) }
}
