//! Looking at a channel without a group.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};
use trunkline_broker::{ConsumeError, Observer, Position, Receipt, Received, Start};

use crate::catalog::Channel;
use crate::clock::time;
use crate::core::Core;
use crate::error::EngineError;
use crate::group::Plan;
use crate::intake::remedy;
use crate::reader::{Part, SlotPlan};

/// Records of one partition in one batch at most.
const BATCH_RECORDS: i64 = 256;
/// Bytes of one batch, about.
const BATCH_BYTES: usize = 1 << 20;

/// Reads on by itself; settles nothing.
#[derive(Debug)]
pub(crate) struct EmbeddedObserver {
    core: Arc<Core>,
    channel: Arc<Channel>,
    /// Per partition the next sequence to look at.
    next: Vec<i64>,
    news: watch::Receiver<()>,
    closed: watch::Receiver<bool>,
    reading: Option<oneshot::Receiver<Result<Vec<Part>, EngineError>>>,
}

impl EmbeddedObserver {
    pub(crate) fn new(core: Arc<Core>, channel: Arc<Channel>, from: Start) -> Self {
        let news = channel.news.subscribe();
        let next = channel.lanes.iter().map(|lane| match from {
            Start::Oldest => lane.first(),
            Start::Newest => lane.end(),
        });
        Self { next: next.collect(), news, closed: core.closed.subscribe(), core, channel, reading: None }
    }

    fn plan(&self) -> Vec<SlotPlan> {
        let lanes = self.channel.lanes.iter().zip(&self.next);
        let plans: Vec<Plan> = lanes
            .filter_map(|(lane, next)| {
                let mut first = (*next).max(lane.first());
                while let Some(lost) = lane.gaps.end_of(first) {
                    first = lost + 1;
                }
                let last = (lane.end() - 1).min(first + BATCH_RECORDS - 1);
                (first <= last).then(|| Plan { lane: lane.clone(), epoch: 0, runs: vec![(first, last)] })
            })
            .collect();
        if plans.is_empty() { Vec::new() } else { vec![SlotPlan { slot: 0, max_bytes: BATCH_BYTES, plans }] }
    }

    fn accept(&mut self, parts: Vec<Part>) -> Vec<Received> {
        let mut batch = Vec::new();
        for part in parts {
            let partition = part.lane.partition;
            for record in part.records {
                self.next[usize::from(partition)] = record.sequence + 1;
                batch.push(Received {
                    channel: self.channel.name.clone(),
                    position: Position { partition, offset: record.sequence },
                    key: record.key,
                    headers: record.headers,
                    value: record.value,
                    stored: time(record.stored),
                    redelivered: 0,
                    receipt: Receipt::observed(),
                });
            }
        }
        batch
    }

    async fn step(&mut self) -> Result<Vec<Received>, ConsumeError> {
        if *self.closed.borrow() {
            return Err(fatal(EngineError::Closed));
        }
        if self.channel.is_removed() {
            return Err(ConsumeError::UnknownChannel(self.channel.name.clone()));
        }
        if self.reading.is_none() {
            // What is stored after this look shows as a change below.
            self.news.mark_unchanged();
            let plan = self.plan();
            if plan.is_empty() {
                tokio::select! {
                    _ = self.news.changed() => {}
                    _ = self.closed.changed() => {}
                }
                return Ok(Vec::new());
            }
            self.reading = Some(self.core.read(plan, BATCH_BYTES).await.map_err(fatal)?);
        }
        let Some(reading) = &mut self.reading else { return Ok(Vec::new()) };
        let answer = reading.await.unwrap_or(Err(EngineError::Closed));
        self.reading = None;
        let batch = self.accept(answer.map_err(fatal)?);
        match self.channel.lanes.iter().find_map(|lane| lane.damage()) {
            Some(detail) if batch.is_empty() => {
                Err(ConsumeError::Damaged { channel: self.channel.name.clone(), detail: remedy(detail) })
            }
            _ => Ok(batch),
        }
    }
}

fn fatal(error: EngineError) -> ConsumeError {
    ConsumeError::Fatal(error.into())
}

#[async_trait]
impl Observer for EmbeddedObserver {
    async fn next(&mut self) -> Result<Vec<Received>, ConsumeError> {
        loop {
            let batch = self.step().await?;
            if !batch.is_empty() {
                return Ok(batch);
            }
        }
    }
}
