//! Taking records in, as the port wants it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use trunkline_broker::{ChannelName, ConsumeError, GroupName, Intake, Intaken, Position, Receipt, Received};

use crate::core::Core;
use crate::error::KafkaFailure;
use crate::inbox::Inbox;
use crate::lease::{Part, Slot};
use crate::receipt::Token;
use crate::window::Taken;

/// Records of one batch at most.
const BATCH_RECORDS: usize = 4000;
/// Bytes of one batch, about.
const BATCH_BYTES: usize = 8 << 20;

/// One consumer of a group.
#[derive(Debug)]
pub(crate) struct KafkaIntake {
    core: Arc<Core>,
    group: GroupName,
    inbox: Arc<Inbox>,
    /// The leases, as of `version`.
    parts: Vec<Arc<Part>>,
    version: u64,
    turn: usize,
}

impl KafkaIntake {
    /// An intake whose inbox has its channels.
    pub(crate) fn new(core: Arc<Core>, group: GroupName, inbox: Arc<Inbox>) -> Self {
        Self { core, group, inbox, parts: Vec::new(), version: u64::MAX, turn: 0 }
    }

    /// Hands out what may be handed out now.
    fn take(&mut self) -> Vec<Received> {
        if let Some(parts) = self.inbox.parts_since(&mut self.version) {
            self.parts = parts;
        }
        let (max_records, max_bytes) =
            (self.core.options.max_unsettled_records, self.core.options.max_unsettled_bytes);
        // Another partition is first each time, so that none waits behind a busy one.
        self.turn = self.turn.wrapping_add(1);
        let from = self.turn % self.parts.len().max(1);
        let (after, before) = self.parts.split_at(from);
        let mut batch = Vec::new();
        let mut bytes = 0;
        for part in before.iter().chain(after) {
            let slot = &part.slot;
            let still = slot.held.load(Ordering::Acquire) || slot.removed.load(Ordering::Acquire);
            if still || !part.is_ready() {
                continue;
            }
            let mut left = BATCH_RECORDS.saturating_sub(batch.len());
            let mut left_bytes = BATCH_BYTES.saturating_sub(bytes);
            let fits = |len: usize| {
                let room = left > 0 && left_bytes > 0 && !slot.out.exceeds(max_records, max_bytes);
                if room {
                    left -= 1;
                    left_bytes = left_bytes.saturating_sub(len);
                }
                room
            };
            part.hand_out(fits, |taken| {
                bytes += taken.raw.len();
                batch.push(received(part, taken));
            });
        }
        if !batch.is_empty() {
            self.inbox.make_room();
        }
        batch
    }

    fn known(&self, channels: &[ChannelName]) -> Result<Vec<Arc<Slot>>, ConsumeError> {
        let find = |name| self.inbox.slot(name).ok_or_else(|| ConsumeError::UnknownChannel(name.clone()));
        channels.iter().map(find).collect()
    }
}

fn received(part: &Arc<Part>, taken: Taken) -> Received {
    let Taken { offset, stored, redelivered, raw } = taken;
    let token = Token { part: part.clone(), offset, bytes: raw.len() };
    Received {
        channel: part.slot.channel.clone(),
        position: Position { partition: part.partition, offset },
        key: raw.key(),
        headers: raw.headers(),
        value: raw.value(),
        stored: UNIX_EPOCH + Duration::from_millis(u64::try_from(stored).unwrap_or(0)),
        redelivered,
        receipt: Receipt::new(Box::new(token)),
    }
}

#[async_trait]
impl Intake for KafkaIntake {
    async fn next(&mut self) -> Result<Intaken, ConsumeError> {
        loop {
            if let Some(news) = self.inbox.take_news() {
                return news;
            }
            if self.inbox.ended.load(Ordering::Acquire) {
                return Err(ConsumeError::Fatal(KafkaFailure::Closed.into()));
            }
            let batch = self.take();
            if !batch.is_empty() {
                return Ok(Intaken::Batch(batch));
            }
            self.inbox.woken().await;
        }
    }

    async fn hold(&mut self, channel: &ChannelName, held: bool) -> Result<(), ConsumeError> {
        let slot = self.inbox.slot(channel).ok_or_else(|| ConsumeError::UnknownChannel(channel.clone()))?;
        slot.held.store(held, Ordering::Release);
        if !held {
            self.inbox.wake();
        }
        Ok(())
    }

    async fn add(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        let declared = self.core.declared(channels, &self.group).await?;
        for channel in declared {
            if self.inbox.slot(&channel.name).is_none() {
                self.inbox.add_slot(self.core.slot(&channel, &self.inbox));
            }
        }
        self.inbox.resubscribe.store(true, Ordering::Release);
        Ok(())
    }

    async fn remove(&mut self, channels: &[ChannelName]) -> Result<(), ConsumeError> {
        for slot in self.known(channels)? {
            slot.removed.store(true, Ordering::Release);
            self.inbox.remove_slot(&slot.channel);
        }
        self.inbox.resubscribe.store(true, Ordering::Release);
        Ok(())
    }
}

impl Drop for KafkaIntake {
    fn drop(&mut self) {
        self.inbox.leaving.store(true, Ordering::Release);
    }
}
