//! The one thread that writes.
//!
//! It gathers what waits, writes it in one transaction, and passes the commit on to [`crate::confirm`], which makes it
//! durable and answers. While the disk is busy with one group the next is written.

mod base;
mod joining;
mod pruning;
mod room;
mod storing;
mod topology;
mod transaction;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::Wal;

pub(crate) use base::{Base, Ends, State};
pub(crate) use transaction::{Effects, write_cursor, write_state};

use crate::checkpoint::{Checkpoints, checkpoint};
use crate::confirm::{Committed, Confirmer, Step};
use crate::core::Core;
use crate::error::EngineError;
use crate::queue::Queued;
use crate::request::{Refused, Request, Store, Topology};
use room::Room;
use transaction::Change;

/// Records and receipts of one group at most.
const GROUP_ITEMS: usize = 4096;
/// Bytes of one group at most; a single larger request is a group of its own.
const GROUP_BYTES: usize = 8 << 20;
/// How often settled and old records are deleted when nothing else happens.
const SWEEP: Duration = Duration::from_millis(250);

thread_local! {
    /// Pages in the write-ahead log after the last commit of this thread's connection.
    static WAL_PAGES: Cell<i64> = const { Cell::new(0) };
}

/// The writer's own state.
pub(crate) struct Writer {
    core: Arc<Core>,
    connection: Connection,
    base: Base,
    confirmer: Arc<Confirmer>,
    committed: SyncSender<Step>,
    checkpoints: Checkpoints,
    room: Room,
    /// Sequence of delayed records stored in the same millisecond.
    tie: i64,
    /// No delayed record is counted as stored before this time.
    tie_floor: i64,
    /// The due time of the first delayed record.
    next_due: Option<i64>,
    /// Delayed records up to this id are damaged and stay where they are.
    joined_to: i64,
    last_sweep: Instant,
}

impl Writer {
    pub(crate) fn new(
        core: Arc<Core>,
        connection: Connection,
        base: Base,
        (confirmer, committed): (Arc<Confirmer>, SyncSender<Step>),
        checkpoints: Checkpoints,
    ) -> rusqlite::Result<Self> {
        if let Some(limit) = core.options.max_bytes {
            let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
            let pages = i64::try_from(limit + limit / 8).unwrap_or(i64::MAX) / page;
            connection.query_row(&format!("PRAGMA max_page_count={}", pages.max(1)), [], |_| Ok(()))?;
        }
        let now = Instant::now();
        let mut writer = Self {
            tie_floor: core.clock.now(),
            room: Room::default(),
            core,
            connection,
            base,
            confirmer,
            committed,
            checkpoints,
            tie: 0,
            next_due: None,
            joined_to: -1,
            last_sweep: now,
        };
        writer.next_due = writer.find_next_due()?;
        Ok(writer)
    }

    /// Works until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        self.connection.wal_hook(Some(note_wal_pages));
        loop {
            let arrived = self.core.requests.wait(self.until_next_work());
            if arrived {
                self.confirmer.linger();
                self.serve_group();
            } else if self.core.requests.is_closed() {
                break;
            }
            self.join_due();
            self.sweep_when_time();
            self.checkpoint_when_due(WAL_PAGES.get());
        }
        self.checkpoint();
    }

    fn until_next_work(&self) -> Duration {
        let sweep = SWEEP.saturating_sub(self.last_sweep.elapsed());
        match self.next_due {
            Some(due) if self.core.stopped().is_none() => self.core.clock.until(due).min(sweep),
            _ => sweep,
        }
    }

    /// Takes what waits and does it: a change of the channels alone, anything else in one transaction.
    fn serve_group(&mut self) {
        let mut items = 0;
        let mut bytes = 0;
        let group = self.core.requests.take_while(|request| match request {
            Request::Topology(_) => std::mem::replace(&mut items, GROUP_ITEMS) == 0,
            Request::Store(store) => {
                let before = (items, bytes);
                items += store.records.len() + store.inputs.len() + 1;
                bytes += store.records.iter().map(crate::request::Prepared::bytes).sum::<usize>();
                before == (0, 0) || (items <= GROUP_ITEMS && bytes <= GROUP_BYTES)
            }
        });
        let mut stores = Vec::with_capacity(group.len());
        for Queued { item, .. } in group {
            match item {
                Request::Topology(topology) => self.serve_topology(topology),
                Request::Store(store) => stores.push(store),
            }
        }
        if let Some(error) = self.core.stopped() {
            refuse(stores, &error);
        } else if !stores.is_empty() {
            self.serve_stores(stores);
        }
    }

    fn serve_topology(&mut self, topology: Topology) {
        let answer = self.change_topology(topology.what);
        if topology.reply.send(answer).is_err() {
            tracing::debug!("nobody waits for the channels any more");
        }
    }

    fn serve_stores(&mut self, stores: Vec<Store>) {
        let stores = self.refuse_when_full(stores);
        if stores.is_empty() {
            return;
        }
        match self.store(&stores) {
            Ok(change) => self.pass_on(change, stores),
            Err(error) if error.is_full() => self.settle_only(stores, &error),
            Err(error) => {
                self.stop_unless_passing(&error);
                refuse(stores, &error);
            }
        }
    }

    /// New records wait for room; what settles may still use the last of it.
    fn refuse_when_full(&mut self, stores: Vec<Store>) -> Vec<Store> {
        let bytes = stores.iter().flat_map(|store| &store.records).map(crate::request::Prepared::bytes).sum();
        let Some(error) = self.room.short_of(&self.connection, &self.core, bytes) else { return stores };
        let (new, settling): (Vec<_>, Vec<_>) = stores.into_iter().partition(|store| store.inputs.is_empty());
        refuse(new, &error);
        settling
    }

    /// The disk is full: whoever only settles needs next to nothing, so that is tried by itself.
    fn settle_only(&mut self, stores: Vec<Store>, error: &EngineError) {
        let (settling, storing): (Vec<_>, Vec<_>) =
            stores.into_iter().partition(|store| store.records.is_empty());
        self.room.is_full(error);
        refuse(storing, error);
        if settling.is_empty() {
            return;
        }
        match self.store(&settling) {
            Ok(change) => self.pass_on(change, settling),
            Err(error) => {
                self.stop_unless_passing(&error);
                refuse(settling, &error);
            }
        }
    }

    /// Hands a commit on to be made durable and confirmed.
    fn pass_on(&mut self, change: Change, stores: Vec<Store>) {
        let committed = Committed {
            commits: self.base.state.commits,
            highest: change.highest(),
            effects: change.effects,
            stores,
        };
        if self.core.requests.len() == 0 && self.confirmer.is_idle() {
            self.confirmer.confirm(committed);
        } else {
            self.confirmer.pass(&self.committed, Step::Confirm(committed));
        }
    }

    /// Waits until everything passed on has been confirmed.
    fn drain(&mut self) {
        let (done, wait) = sync_channel(1);
        self.confirmer.pass(&self.committed, Step::Barrier(done));
        if wait.recv().is_err() {
            self.core.stop(EngineError::Closed);
        }
    }

    /// A full disk passes; after anything else what the database holds is not known.
    fn stop_unless_passing(&self, error: &EngineError) {
        if matches!(error, EngineError::Database(_)) && !error.is_full() {
            self.core.stop(error.clone());
        }
    }

    /// Keeps the log near its usual size.
    fn checkpoint_when_due(&mut self, pages: i64) {
        if self.checkpoints.is_due(pages) {
            self.checkpoint();
        }
    }

    fn checkpoint(&mut self) {
        if self.core.stopped().is_some() {
            return;
        }
        if let Err(error) = checkpoint(&self.connection) {
            if error.is_full() {
                self.room.is_full(&error);
            } else {
                self.core.stop(error);
            }
        }
    }
}

fn note_wal_pages(_: &Wal, pages: std::ffi::c_int) -> rusqlite::Result<()> {
    WAL_PAGES.set(i64::from(pages));
    Ok(())
}

/// Answers that nothing was done.
pub(crate) fn refuse(stores: Vec<Store>, error: &EngineError) {
    for Store { inputs, reply, .. } in stores {
        if reply.send(Err(Refused { error: error.clone(), inputs })).is_err() {
            tracing::debug!("nobody waits for the answer any more");
        }
    }
}
