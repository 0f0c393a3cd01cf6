//! The bounded way from callers to the engine's threads.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::catalog::lock;

/// A queue whose pushers wait, asynchronously, until what waits in it weighs less than its bound.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    room: Arc<Semaphore>,
    bound: u32,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<Queued<T>>,
    closed: bool,
}

/// An item; its weight counts until this is dropped.
#[derive(Debug)]
pub(crate) struct Queued<T> {
    pub(crate) item: T,
    _room: OwnedSemaphorePermit,
}

impl<T> Queue<T> {
    pub(crate) fn new(bound: u32) -> Self {
        Self {
            state: Mutex::new(State { items: VecDeque::new(), closed: false }),
            arrived: Condvar::new(),
            room: Arc::new(Semaphore::new(bound as usize)),
            bound,
        }
    }

    /// Waits for room and puts the item in; gives it back when the queue is closed. An item heavier than the bound
    /// waits until it is alone.
    pub(crate) async fn push(&self, item: T, weight: u32) -> Result<(), T> {
        match self.reserve(weight).await {
            Some(room) => self.put(item, room),
            None => Err(item),
        }
    }

    /// Waits for room, to be used by [`Self::put`]; `None` when the queue is closed.
    pub(crate) async fn reserve(&self, weight: u32) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_many_owned(weight.clamp(1, self.bound)).await.ok()
    }

    /// Puts the item in at once; gives it back when the queue is closed.
    pub(crate) fn put(&self, item: T, room: OwnedSemaphorePermit) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(item);
        }
        state.items.push_back(Queued { item, _room: room });
        if state.items.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits until something is there, `timeout` has passed or the queue is closed; true when something is there.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.state);
        while state.items.is_empty() && !state.closed {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.items.is_empty()
    }

    /// Takes items as long as `more` says so; it sees each before it is taken.
    pub(crate) fn take_while(&self, mut more: impl FnMut(&T) -> bool) -> Vec<Queued<T>> {
        let mut state = lock(&self.state);
        let mut taken = Vec::new();
        while state.items.front().is_some_and(|queued| more(&queued.item)) {
            taken.extend(state.items.pop_front());
        }
        // Another thread may wait for what is left.
        if !state.items.is_empty() {
            self.arrived.notify_one();
        }
        taken
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.state).items.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Drops what is in it; whoever waits for an answer then learns that there is none.
    pub(crate) fn clear(&self) {
        drop(self.take_while(|_| true));
    }

    /// Nothing can be pushed any more; what is in it can be taken.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.room.close();
        self.arrived.notify_all();
    }
}
