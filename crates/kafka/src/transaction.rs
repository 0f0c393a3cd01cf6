//! Hand-overs as Kafka transactions.
//!
//! Transactions block, so each lane has a thread and a transactional id of its own. A lane takes all hand-overs that
//! wait and makes one transaction of them; while it commits, the next ones gather. A partition is in one transaction at
//! a time, because what a transaction commits stands on everything before it in the partition.

mod lane;
mod producer;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::oneshot;
use trunkline_broker::{HandOverError, Outgoing, Receipt, Settler};

use crate::asker::lock;
use crate::context::Common;
use crate::core::Core;
use crate::error::{ConnectError, KafkaFailure};
use crate::lease::Part;
use crate::member::GroupConsumer;
use crate::options::Options;
use crate::prepare::prepare;
use crate::publisher::Ready;
use crate::receipt::Token;
use crate::settler::refused;

use lane::Lane;

/// Records of one transaction, about.
const MOST_RECORDS: usize = 20_000;

/// The inputs of one lease.
#[derive(Debug)]
struct Inputs {
    part: Arc<Part>,
    offsets: BTreeSet<i64>,
}

/// A hand-over that waits for its transaction.
#[derive(Debug)]
struct Request {
    receipts: Vec<Receipt>,
    inputs: Vec<Inputs>,
    outputs: Vec<Ready>,
    consumer: Weak<GroupConsumer>,
    reply: oneshot::Sender<Result<(), HandOverError>>,
}

/// What waits, and what the lanes are at.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Another process has the transactional id.
    fenced: AtomicBool,
    abandoned: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    /// Addresses of the leases in a transaction.
    busy: HashSet<usize>,
    closed: bool,
}

/// All lanes of a process.
#[derive(Debug)]
pub(crate) struct Transactions {
    queue: Arc<Queue>,
}

impl Transactions {
    /// Takes the transactional ids over from whoever had them, and starts the lanes. Blocks.
    pub(crate) fn start(options: &Arc<Options>, common: &Common) -> Result<Self, ConnectError> {
        let queue = Arc::new(Queue::default());
        let lanes: Vec<Lane> = (0..options.lanes)
            .map(|number| Lane::begin(options.clone(), common.clone(), number, queue.clone()))
            .collect::<Result<_, _>>()?;
        for lane in lanes {
            let spawned =
                std::thread::Builder::new().name("kafka-transactions".to_owned()).spawn(|| lane.run());
            spawned.map_err(|error| ConnectError::Option {
                option: "lanes",
                problem: format!("can't each have a thread: {error}"),
            })?;
        }
        Ok(Self { queue })
    }

    /// What waits is still done; nothing more is taken.
    pub(crate) fn close(&self, abandon: bool) {
        self.queue.abandoned.store(abandon, Ordering::Release);
        let mut state = lock(&self.queue.state);
        state.closed = true;
        if abandon {
            state.waiting.clear();
        }
        drop(state);
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn push(&self, request: Request) -> Result<(), Request> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(request);
        }
        state.waiting.push_back(request);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// The hand-overs for one lane's next transaction, at least one; their leases are that lane's until [`Self::done`].
    /// `None`: there will be no more.
    fn take(&self) -> Option<Vec<Request>> {
        let mut state = lock(&self.state);
        loop {
            let taken = state.take();
            if !taken.is_empty() {
                return Some(taken);
            }
            if state.closed && state.waiting.is_empty() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A transaction has ended, one way or the other.
    fn done(&self, parts: &[usize]) {
        let mut state = lock(&self.state);
        parts.iter().for_each(|part| {
            state.busy.remove(part);
        });
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn take(&mut self) -> Vec<Request> {
        // Nothing overtakes an earlier hand-over of its partition.
        let mut passed: HashSet<usize> = HashSet::new();
        let (mut taken, mut records): (Vec<Request>, usize) = (Vec::new(), 0);
        let mut left = VecDeque::with_capacity(self.waiting.len());
        for request in self.waiting.drain(..) {
            let parts = || request.inputs.iter().map(|inputs| address(&inputs.part));
            let free = parts().all(|part| !self.busy.contains(&part) && !passed.contains(&part));
            if free && records < MOST_RECORDS {
                records += request.outputs.len() + 1;
                taken.push(request);
            } else {
                passed.extend(parts());
                left.push_back(request);
            }
        }
        self.waiting = left;
        self.busy
            .extend(taken.iter().flat_map(|request| &request.inputs).map(|inputs| address(&inputs.part)));
        taken
    }
}

fn address(part: &Arc<Part>) -> usize {
    Arc::as_ptr(part) as usize
}

/// Settles in the transaction that publishes.
#[derive(Debug)]
pub(crate) struct TransactionalSettler {
    pub(crate) core: Arc<Core>,
    pub(crate) consumer: Weak<GroupConsumer>,
}

#[async_trait]
impl Settler for TransactionalSettler {
    async fn hand_over(&self, inputs: Vec<Receipt>, outputs: Vec<Outgoing>) -> Result<(), HandOverError> {
        let closed = |inputs| {
            let cause = KafkaFailure::Closed.into();
            HandOverError::Unavailable { cause, inputs, stored: Vec::new() }
        };
        let Some(transactions) = &self.core.transactions else { return Err(closed(inputs)) };
        if transactions.queue.fenced.load(Ordering::Acquire) {
            return Err(HandOverError::Fenced);
        }
        let prepared = prepare(&self.core, outputs).await;
        if !prepared.failures.is_empty() {
            return Err(refused(prepared.failures, inputs));
        }
        if inputs.is_empty() && prepared.ready.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let request = Request {
            inputs: group(&inputs),
            receipts: inputs,
            outputs: prepared.ready,
            consumer: self.consumer.clone(),
            reply,
        };
        transactions.queue.push(request).map_err(|request| closed(request.receipts))?;
        answer.await.unwrap_or_else(|_| Err(closed(Vec::new())))
    }
}

/// Receipts by their lease.
fn group(receipts: &[Receipt]) -> Vec<Inputs> {
    let mut inputs: Vec<Inputs> = Vec::new();
    for token in receipts.iter().filter_map(Receipt::token::<Token>) {
        let same = |inputs: &Inputs| Arc::ptr_eq(&inputs.part, &token.part);
        let index = match inputs.last() {
            Some(last) if same(last) => inputs.len() - 1,
            _ => inputs.iter().position(same).unwrap_or(inputs.len()),
        };
        if index == inputs.len() {
            inputs.push(Inputs { part: token.part.clone(), offsets: BTreeSet::new() });
        }
        inputs[index].offsets.insert(token.offset);
    }
    inputs
}
