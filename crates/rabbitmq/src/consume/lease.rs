//! The task that takes a lease, feeds its records to the intake, and gives it up.
//!
//! It never cancels its consumer: then the broker would give the next one newer records while older ones are still out. It
//! closes the AMQP channel, which puts everything back to the head of the queue, in order, and only then lets the next
//! consumer begin.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{Channel as Amqp, Consumer};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};
use trunkline_broker::{Intaken, Lease};

use super::partition::{Item, Partition};
use super::slot::Slot;
use crate::codec::{decode, short};
use crate::control::Depth;
use crate::core::Core;
use crate::error::RabbitFailure;
use crate::link::Link;
use crate::members::{Stake, Wanted};

/// How long opening a consumer may take.
const OPENING: Duration = Duration::from_secs(10);
/// The first and the longest pause between two looks at a queue that another consumer still has.
const LOOK: (Duration, Duration) = (Duration::from_millis(30), Duration::from_secs(1));
/// How long taking a first lease waits for news of the others.
const UNHEARD: Duration = Duration::from_secs(3);
/// The pause before a broken lease is taken again.
const BROKEN: Duration = Duration::from_millis(100);
/// How long the broker may take to close an AMQP channel.
const CLOSING: Duration = Duration::from_secs(5);

struct LeaseTask {
    core: Arc<Core>,
    stake: Stake,
    slot: Arc<Slot>,
    leave: watch::Receiver<bool>,
    queue: ShortString,
    link: Arc<Link>,
}

/// Why a lease, or its AMQP channel, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Another consumer gets it, or nobody, for now.
    Left,
    /// The channel is held and nothing is in the caller's hands.
    Held,
    Broken,
}

/// Begins to take these leases.
pub(crate) fn take_leases(core: &Arc<Core>, wanted: Vec<Wanted>) {
    for Wanted { stake, slot, leave } in wanted {
        let hold = &stake.hold;
        let queue = core.names.queue(&hold.channel, &hold.group, hold.partition);
        let task = LeaseTask { core: core.clone(), stake, slot, leave, queue, link: core.links.one() };
        core.runtime.spawn(task.run());
    }
}

impl LeaseTask {
    async fn run(mut self) {
        while let Some(epoch) = self.claim().await {
            let hold = &self.stake.hold;
            let lease = Lease { channel: hold.channel.clone(), partition: hold.partition, epoch };
            let partition = Arc::new(Partition::new(lease.clone(), &self.slot));
            self.core.members.attach(&self.stake, partition.clone());
            self.slot.attach(partition.clone());
            if !self.slot.is_left() {
                self.slot.inbox.assign(Intaken::Assigned(lease.clone()), partition.clone());
            }
            let end = self.serve(&partition).await;
            partition.end();
            self.slot.detach(&partition);
            if !self.slot.is_left() {
                self.slot.inbox.tell(Intaken::Lost(lease));
            }
            self.core.members.release(&self.stake);
            if end != End::Broken {
                break;
            }
            sleep(BROKEN).await;
        }
        let wanted = self.core.members.ended(&self.stake);
        take_leases(&self.core, wanted);
    }

    /// Waits until nobody has the lease; returns its epoch. `None` when it is not to be taken any more.
    async fn claim(&mut self) -> Option<u64> {
        let mut acquainted = self.core.members.acquainted();
        tokio::select! {
            _ = acquainted.wait_for(|acquainted| *acquainted) => {}
            _ = self.leave.wait_for(|leave| *leave) => {}
            () = self.core.closing.cancelled() => {}
            // Without a way to hear the others, the single active consumer is the only fence.
            () = sleep(UNHEARD) => {}
        }
        let mut freed = self.core.members.freed();
        let mut pause = LOOK.0;
        loop {
            freed.borrow_and_update();
            if *self.leave.borrow() || self.core.closing.is_cancelled() {
                return None;
            }
            if self.core.members.is_free(&self.stake) {
                match self.core.control.depth(&self.queue).await {
                    Ok(Some(Depth { consumers: 0, .. })) => {
                        if let Some(epoch) = self.core.members.hold(&self.stake) {
                            return Some(epoch);
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        tracing::warn!(queue = %self.queue, "a queue is missing; ensure its channel again")
                    }
                    Err(error) => tracing::debug!(queue = %self.queue, %error, "can't look at a queue yet"),
                }
            } else {
                // Whoever holds it says when it is free.
                pause = LOOK.1;
            }
            tokio::select! {
                _ = freed.changed() => pause = LOOK.0,
                _ = self.leave.changed() => {}
                () = self.core.closing.cancelled() => {}
                () = sleep(pause) => pause = (pause * 2).min(LOOK.1),
            }
        }
    }

    /// Holds the lease until it ends.
    async fn serve(&mut self, partition: &Arc<Partition>) -> End {
        loop {
            if !self.wait_while_held().await {
                return End::Left;
            }
            let (amqp, mut consumer) = match self.open().await {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::debug!(queue = %self.queue, %error, "can't consume a queue yet");
                    return End::Broken;
                }
            };
            partition.begin(amqp.clone());
            let end = self.feed(partition, &mut consumer).await;
            partition.end();
            if end != End::Broken {
                close(&amqp).await;
            }
            drop(consumer);
            if end != End::Held {
                return end;
            }
        }
    }

    /// Waits while the channel is held; false when the lease is to be left.
    async fn wait_while_held(&mut self) -> bool {
        let mut held = self.slot.held();
        loop {
            if *self.leave.borrow() || self.core.closing.is_cancelled() {
                return false;
            }
            if !*held.borrow_and_update() {
                return true;
            }
            tokio::select! {
                _ = held.changed() => {}
                _ = self.leave.changed() => {}
                () = self.core.closing.cancelled() => {}
            }
        }
    }

    async fn open(&self) -> Result<(Amqp, Consumer), RabbitFailure> {
        let open = async {
            let amqp = self.link.channel(Instant::now() + OPENING).await?;
            amqp.basic_qos(self.core.options.prefetch.max(1), BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let none = FieldTable::default();
            let tag = short(self.stake.member.as_str());
            let consumer = amqp.basic_consume(self.queue.clone(), tag, options, none).await?;
            Ok((amqp, consumer))
        };
        timeout(OPENING, open).await.unwrap_or(Err(RabbitFailure::Timeout(OPENING)))
    }

    /// Passes records on until the AMQP channel is to be closed, or broke.
    async fn feed(&mut self, partition: &Arc<Partition>, consumer: &mut Consumer) -> End {
        let mut held = self.slot.held();
        let mut deadline: Option<Instant> = None;
        loop {
            let leaves = deadline.is_some();
            if (leaves || *held.borrow_and_update()) && partition.is_drained() {
                return if leaves { End::Left } else { End::Held };
            }
            if !leaves && *self.leave.borrow() {
                deadline = Some(self.revoke(partition));
                continue;
            }
            tokio::select! {
                delivery = consumer.next() => {
                    let Some(Ok(delivery)) = delivery else { return End::Broken };
                    partition.push(self.burst(delivery, consumer));
                }
                () = partition.drained.notified() => {}
                _ = held.changed() => {}
                _ = self.leave.changed(), if !leaves => {}
                () = at(deadline) => return End::Left,
                () = self.core.closing.cancelled() => return End::Left,
            }
        }
    }

    /// Stops handing out; returns until when the caller may settle what it has.
    fn revoke(&self, partition: &Partition) -> Instant {
        partition.stop();
        let deadline = Instant::now() + self.core.options.drain;
        if !partition.is_drained() && !self.slot.is_left() {
            self.slot.inbox.tell(Intaken::Revoking(partition.lease.clone(), deadline));
        }
        deadline
    }

    /// A record, and all that came with it.
    fn burst(&self, first: Delivery, consumer: &mut Consumer) -> Vec<(u64, Item)> {
        let mut burst = vec![self.item(first)];
        // An error comes again with the next poll.
        while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
            burst.push(self.item(delivery));
        }
        burst
    }

    fn item(&self, delivery: Delivery) -> (u64, Item) {
        let tag = delivery.delivery_tag;
        let stored = decode(delivery);
        let number = stored.number.unwrap_or_else(|| self.core.number(SystemTime::now()));
        let handed = stored.redelivered;
        (tag, Item { stored: Arc::new(stored), number, handed })
    }
}

async fn close(amqp: &Amqp) {
    let closed = timeout(CLOSING, amqp.close(200, "lease given up".into())).await;
    if !matches!(closed, Ok(Ok(()))) {
        tracing::debug!("an AMQP channel was gone before it was closed");
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
