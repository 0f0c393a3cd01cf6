//! The task that publishes: one AMQP channel, many records under way, in order.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use futures::future::poll_fn;
use futures::stream::{FuturesUnordered, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{Channel as Amqp, Confirmation, ErrorKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use trunkline_broker::{PublishFailure, RecordFailure};

use super::orders::Orders;
use super::returns::{Returns, Said, after_frame};
use super::{Order, Prepared, unavailable};
use crate::codec::{encode, short};
use crate::error::RabbitFailure;
use crate::link::Link;
use crate::sequence::Sequence;

/// How many copies may wait in the task before it takes no further batch.
const BACKLOG: usize = 20_000;
/// How long opening an AMQP channel may take before it is tried again.
const OPENING: Duration = Duration::from_secs(5);
/// How long an AMQP channel on which something was refused is used on.
const REFUSING: Duration = Duration::from_secs(1);
const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;

/// One message: a record's copy for one group, or for those who only look.
#[derive(Debug, Clone)]
struct Copy {
    ticket: u64,
    record: Arc<Prepared>,
    number: i64,
    /// The group's place in the channel; `None` for those who only look.
    group: Option<usize>,
    /// Somebody waits for its outcome; only such ones fill the window.
    awaited: bool,
}

struct Lane {
    link: Arc<Link>,
    orders: Orders,
    returns: Returns,
    sequence: Sequence,
    queue: VecDeque<Copy>,
    /// Under way, in the order of publishing.
    flight: BTreeMap<u64, Copy>,
    awaited: usize,
    last: u64,
    /// The broker refused something on this AMQP channel.
    refused: bool,
}

/// How a message ended: its place in the order of publishing, and what came.
type Ended = (u64, Result<Confirmation, lapin::Error>);
/// The same, its return not looked for yet.
type Noted = (u64, Result<Said, lapin::Error>);

/// Publishes until the engine closes.
pub(super) async fn run(
    link: Arc<Link>,
    mut incoming: mpsc::Receiver<Order>,
    window: usize,
    closing: CancellationToken,
) {
    let mut lane = Lane {
        link,
        orders: Orders::default(),
        returns: Returns::default(),
        sequence: Sequence::new(),
        queue: VecDeque::new(),
        flight: BTreeMap::new(),
        awaited: 0,
        last: 0,
        refused: false,
    };
    while !closing.is_cancelled() {
        match lane.open(&mut incoming, &closing).await {
            Some(Ok(amqp)) => lane.serve(&amqp, &mut incoming, window, &closing).await,
            Some(Err(error)) => tracing::debug!(%error, "no AMQP channel to publish on yet"),
            None => break,
        }
    }
    lane.fail_all();
}

impl Lane {
    /// Opens an AMQP channel, taking batches meanwhile. `None` when the engine closes.
    async fn open(
        &mut self,
        incoming: &mut mpsc::Receiver<Order>,
        closing: &CancellationToken,
    ) -> Option<Result<Amqp, RabbitFailure>> {
        let link = self.link.clone();
        let mut opening = std::pin::pin!(open(&link));
        loop {
            let deadline = self.orders.next_deadline();
            tokio::select! {
                opened = &mut opening => return Some(opened),
                order = incoming.recv(), if self.queue.len() < BACKLOG => self.accept(order?),
                () = at(deadline) => self.expire(),
                () = closing.cancelled() => return None,
            }
        }
    }

    /// Publishes on one AMQP channel for as long as it lives. What it leaves unanswered is published again on the next, in
    /// the same order and with the same numbers.
    async fn serve(
        &mut self,
        amqp: &Amqp,
        incoming: &mut mpsc::Receiver<Order>,
        window: usize,
        closing: &CancellationToken,
    ) {
        let mut sending = FuturesUnordered::new();
        let mut noted: Vec<Noted> = Vec::new();
        let opened = Instant::now();
        self.refused = false;
        loop {
            // RabbitMQ goes on refusing there when the queue's limit is taken away instead of its records.
            let renewing = self.refused && opened.elapsed() > REFUSING;
            if renewing && self.flight.is_empty() {
                return close(amqp).await;
            }
            // What is sent to a blocked broker is stored some time, when its publisher has long given up and tried again.
            let blocked = self.link.blocked().is_some();
            while !(blocked || renewing)
                && self.awaited < window
                && let Some(copy) = self.queue.pop_front()
            {
                self.last += 1;
                sending.push(send(amqp, self.last, copy.clone()));
                self.flight.insert(self.last, copy);
                self.awaited += 1;
            }
            if !noted.is_empty() {
                // What one frame confirmed is known in full only after it; see `returns`.
                after_frame(amqp);
                let more = poll_fn(|cx| Poll::Ready(drain(&mut sending, cx))).await;
                let more = self.note(more);
                let broken = self.conclude(std::mem::replace(&mut noted, more));
                if let Some(error) = broken {
                    self.conclude(noted);
                    return self.break_off(&error);
                }
                continue;
            }
            let deadline = self.orders.next_deadline();
            tokio::select! {
                biased;
                ended = poll_fn(|cx| match drain(&mut sending, cx) {
                    ended if ended.is_empty() => Poll::Pending,
                    ended => Poll::Ready(ended),
                }) => noted = self.note(ended),
                order = incoming.recv(), if self.queue.len() < BACKLOG => match order {
                    Some(order) => self.accept(order),
                    None => return,
                },
                () = at(deadline) => self.expire(),
                () = closing.cancelled() => return,
                () = self.link.unblocked(), if blocked => {}
            }
        }
    }

    /// Takes a batch: a copy of each record for each group.
    fn accept(&mut self, order: Order) {
        let copies = order.records.iter().map(|record| record.channel.groups.len()).sum();
        let ticket = self.orders.open(order.reply, order.until, copies);
        for record in order.records {
            let number = self.sequence.next(SystemTime::now());
            let record = Arc::new(record);
            let groups = (0..record.channel.groups.len()).map(Some).chain(record.observed.then_some(None));
            let copy = |group| Copy { ticket, record: record.clone(), number, group, awaited: true };
            self.queue.extend(groups.map(copy));
        }
    }

    /// Remembers what was returned together with these confirmations.
    fn note(&mut self, ended: Vec<Ended>) -> Vec<Noted> {
        let returns = &mut self.returns;
        ended
            .into_iter()
            .map(|(id, came)| (id, came.map(|confirmation| returns.look(confirmation))))
            .collect()
    }

    /// Answers for messages whose outcome is known; returns the error if the AMQP channel broke.
    fn conclude(&mut self, noted: Vec<Noted>) -> Option<lapin::Error> {
        let mut broken = None;
        for (id, said) in noted {
            let said = match said {
                Ok(said) => said,
                Err(error) => {
                    broken.get_or_insert(error);
                    continue;
                }
            };
            let Some(copy) = self.flight.remove(&id) else { continue };
            self.awaited -= usize::from(copy.awaited);
            let returned = self.returns.take(copy.number, copy.exchange().as_str());
            let failure = match said {
                _ if returned => Some(PublishFailure::Unroutable(copy.record.channel.name.clone())),
                Said::Ack => None,
                Said::Nack => {
                    self.refused = true;
                    Some(PublishFailure::Full(RabbitFailure::Nacked.into()))
                }
            };
            self.settle(&copy, failure);
        }
        broken
    }

    fn settle(&mut self, copy: &Copy, failure: Option<PublishFailure>) {
        // Whoever only looks has no say in whether a record is stored.
        if copy.group.is_some() {
            let index = copy.record.index;
            self.orders.settle(copy.ticket, failure.map(|failure| RecordFailure { index, failure }));
        }
    }

    /// The AMQP channel is gone. What caused it fails; all else, whose outcome is not known, is published again.
    fn break_off(&mut self, error: &lapin::Error) {
        tracing::warn!(%error, records = self.flight.len(), "publishing broke off; what is not confirmed is published again");
        self.returns.clear();
        self.awaited = 0;
        for (_, copy) in std::mem::take(&mut self.flight).into_iter().rev() {
            match cause(error, copy.exchange()) {
                None if copy.awaited => self.queue.push_front(copy),
                None => {}
                Some(NOT_FOUND) => {
                    let channel = copy.record.channel.name.clone();
                    self.settle(&copy, Some(PublishFailure::Unroutable(channel)));
                }
                Some(_) => self.settle(&copy, Some(unavailable(error.clone().into()))),
            }
        }
    }

    /// Gives up on batches whose time is over.
    fn expire(&mut self) {
        for ticket in self.orders.expired(Instant::now()) {
            let blocked = self.link.blocked();
            self.give_up(ticket, || match &blocked {
                Some(reason) => PublishFailure::Full(RabbitFailure::Blocked(reason.clone()).into()),
                None => unavailable(RabbitFailure::Unconfirmed),
            });
        }
    }

    fn fail_all(&mut self) {
        for ticket in self.orders.tickets() {
            self.give_up(ticket, || unavailable(RabbitFailure::Closed));
        }
    }

    fn give_up(&mut self, ticket: u64, failure: impl Fn() -> PublishFailure) {
        let mut unanswered = Vec::new();
        for copy in self.flight.values_mut().filter(|copy| copy.ticket == ticket && copy.awaited) {
            copy.awaited = false;
            self.awaited -= 1;
            unanswered.extend(copy.group.is_some().then_some(copy.record.index));
        }
        self.queue.retain(|copy| {
            let other = copy.ticket != ticket;
            unanswered.extend((!other && copy.group.is_some()).then_some(copy.record.index));
            other
        });
        self.orders.give_up(ticket, unanswered, failure);
    }
}

impl Copy {
    fn exchange(&self) -> &ShortString {
        let channel = &self.record.channel;
        match (self.group.and_then(|group| channel.groups.get(group)), self.record.delay) {
            (None, _) => &channel.exchange,
            (Some(group), None) => &group.exchange,
            // There are as many names as a delay can have levels.
            (Some(group), Some(delay)) => &group.levels[usize::from(delay.top())],
        }
    }

    fn routing_key(&self) -> ShortString {
        let partition = self.record.partition;
        match self.record.delay {
            Some(delay) if self.group.is_some() => short(delay.routing_key(partition)),
            _ => self.record.channel.keys[usize::from(partition)].clone(),
        }
    }
}

async fn open(link: &Link) -> Result<Amqp, RabbitFailure> {
    let open = async {
        let amqp = link.channel(Instant::now() + OPENING).await?;
        amqp.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(amqp)
    };
    tokio::time::timeout(OPENING, open).await.unwrap_or(Err(RabbitFailure::Timeout(OPENING)))
}

async fn close(amqp: &Amqp) {
    let closed = tokio::time::timeout(OPENING, amqp.close(200, "to be opened again".into())).await;
    if !matches!(closed, Ok(Ok(()))) {
        tracing::debug!("an AMQP channel was gone before it was closed");
    }
}

/// Publishes one message, with its first poll; waits for its confirmation.
async fn send(amqp: &Amqp, id: u64, copy: Copy) -> Ended {
    let record = &copy.record.record;
    let options = BasicPublishOptions { mandatory: copy.group.is_some(), ..BasicPublishOptions::default() };
    let properties = encode(record, copy.number);
    let published = amqp
        .basic_publish(copy.exchange().clone(), copy.routing_key(), options, &record.value, properties)
        .await;
    match published {
        Ok(confirm) => (id, confirm.await),
        Err(error) => (id, Err(error)),
    }
}

/// Everything that has ended. What was pushed is polled for the first time here, in the order of pushing.
fn drain<F>(sending: &mut FuturesUnordered<F>, cx: &mut Context<'_>) -> Vec<Ended>
where
    F: Future<Output = Ended>,
{
    let mut ended = Vec::new();
    while let Poll::Ready(Some(one)) = sending.poll_next_unpin(cx) {
        ended.push(one);
    }
    ended
}

/// The code with which the broker closed the AMQP channel because of this exchange.
fn cause(error: &lapin::Error, exchange: &ShortString) -> Option<u16> {
    let ErrorKind::ProtocolError(said) = error.kind() else { return None };
    let named = said.get_message().as_str().contains(&format!("'{exchange}'"));
    (named && matches!(said.get_id(), NOT_FOUND | ACCESS_REFUSED)).then_some(said.get_id())
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
