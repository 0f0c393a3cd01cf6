//! A group on a channel: what it has settled, who reads which partition, what is in whose hands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::time::{Duration, Instant};
use trunkline_broker::{ChannelName, GroupName, Intaken, Lease};

use crate::balance::balance;
use crate::catalog::{Lane, lock};
use crate::inbox::Inbox;
use crate::ranges::Settled;

/// A group on one channel.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) id: i64,
    pub(crate) name: GroupName,
    pub(crate) channel: ChannelName,
    lanes: Vec<Arc<Lane>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    parts: Vec<Part>,
    members: Vec<Member>,
}

/// An intake that takes part.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) inbox: Arc<Inbox>,
    /// The channel's number within the intake.
    pub(crate) slot: usize,
}

/// The group's state in one partition.
#[derive(Debug)]
struct Part {
    settled: Settled,
    /// The first sequence that was never handed out since the engine was opened.
    next: i64,
    /// Given back, waiting to be handed out again, with how often they were handed out.
    returned: BTreeMap<i64, u32>,
    /// In somebody's hands, with how often they were handed out before.
    in_flight: BTreeMap<i64, u32>,
    epoch: u64,
    owner: Option<u64>,
    /// The owner is to give the lease up until then.
    leaving: Option<Instant>,
}

/// What to read of a partition for its owner.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) lane: Arc<Lane>,
    pub(crate) epoch: u64,
    /// Runs of sequences, both ends inside, in order.
    pub(crate) runs: Vec<(i64, i64)>,
}

impl Group {
    pub(crate) fn new(
        id: i64,
        name: GroupName,
        channel: ChannelName,
        lanes: Vec<Arc<Lane>>,
        settled: Vec<Settled>,
    ) -> Self {
        let parts = settled
            .into_iter()
            .map(|settled| Part {
                next: settled.next_unsettled(0),
                settled,
                returned: BTreeMap::new(),
                in_flight: BTreeMap::new(),
                epoch: 1,
                owner: None,
                leaving: None,
            })
            .collect();
        Self { id, name, channel, lanes, state: Mutex::new(State { parts, members: Vec::new() }) }
    }

    /// Lets a member take part.
    pub(crate) fn join(&self, member: Member, drain: Duration) {
        let mut state = lock(&self.state);
        state.members.push(member);
        self.rebalance(&mut state, drain);
    }

    /// A member leaves. Its receipts can be settled until they are all gone, or until `drain` has passed and somebody
    /// else wants the partition.
    pub(crate) fn leave(&self, member: u64, drain: Duration) {
        let mut state = lock(&self.state);
        state.members.retain(|other| other.id != member);
        let deadline = Instant::now() + drain;
        for index in 0..state.parts.len() {
            let part = &mut state.parts[index];
            if part.owner == Some(member) {
                part.leaving = Some(part.leaving.map_or(deadline, |earlier| earlier.min(deadline)));
                self.end_if_drained(&mut state, index, drain);
            }
        }
        self.rebalance(&mut state, drain);
        // Whoever is to get what the member still has in hand must learn until when.
        state.members.iter().for_each(|member| member.inbox.notify.notify_one());
    }

    /// Takes away leases whose time is over. Returns when the next one ends.
    pub(crate) fn expire(&self, drain: Duration) -> Option<Instant> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        let mut ended = false;
        for index in 0..state.parts.len() {
            if state.parts[index].leaving.is_some_and(|deadline| deadline <= now) {
                self.end(&mut state, index);
                ended = true;
            }
        }
        if ended {
            self.rebalance(&mut state, drain);
        }
        state.parts.iter().filter_map(|part| part.leaving).min()
    }

    /// What `member` may read now, at most so many records. `from` says with which partition to begin.
    pub(crate) fn plan(&self, member: u64, mut records: usize, from: usize) -> Vec<Plan> {
        let state = lock(&self.state);
        let count = state.parts.len();
        let mut plans = Vec::new();
        for index in (0..count).map(|offset| (from + offset) % count) {
            let part = &state.parts[index];
            let lane = &self.lanes[index];
            if part.owner != Some(member) || part.leaving.is_some() || lane.damage().is_some() {
                continue;
            }
            let runs = part.runs(lane.end(), &mut records);
            if !runs.is_empty() {
                plans.push(Plan { lane: lane.clone(), epoch: part.epoch, runs });
            }
            if records == 0 {
                break;
            }
        }
        plans
    }

    /// The records with these sequences are about to be handed out under this epoch. Returns for each how often it was
    /// handed out before, or `None` where it may not be.
    pub(crate) fn hand_out(&self, partition: u16, epoch: u64, sequences: &[i64]) -> Vec<Option<u32>> {
        let mut state = lock(&self.state);
        let part = &mut state.parts[usize::from(partition)];
        let held = part.epoch == epoch && part.leaving.is_none() && part.owner.is_some();
        sequences.iter().map(|sequence| if held { part.hand_out(*sequence) } else { None }).collect()
    }

    /// Whether a receipt of this epoch may settle this record.
    pub(crate) fn may_settle(&self, partition: u16, epoch: u64, sequence: i64) -> bool {
        let state = lock(&self.state);
        let part = &state.parts[usize::from(partition)];
        part.epoch == epoch && part.in_flight.contains_key(&sequence)
    }

    /// These records are settled, durably.
    pub(crate) fn settle(&self, partition: u16, sequences: &[i64], drain: Duration) {
        let mut state = lock(&self.state);
        let index = usize::from(partition);
        let part = &mut state.parts[index];
        for sequence in sequences {
            part.settled.insert(*sequence);
            part.in_flight.remove(sequence);
            part.returned.remove(sequence);
        }
        self.end_if_drained(&mut state, index, drain);
    }

    /// A receipt was dropped unsettled.
    pub(crate) fn give_back(&self, partition: u16, epoch: u64, sequence: i64, drain: Duration) {
        let mut state = lock(&self.state);
        let index = usize::from(partition);
        let part = &mut state.parts[index];
        if part.epoch != epoch {
            return;
        }
        if let Some(before) = part.in_flight.remove(&sequence) {
            part.returned.insert(sequence, before.saturating_add(1));
        }
        self.end_if_drained(&mut state, index, drain);
        wake(&state, index);
    }

    /// Something was stored in a partition.
    pub(crate) fn wake(&self, partition: u16) {
        wake(&lock(&self.state), usize::from(partition));
    }

    /// The channel is gone: nothing can be settled any more.
    pub(crate) fn end_all(&self) {
        let mut state = lock(&self.state);
        for index in 0..state.parts.len() {
            self.end(&mut state, index);
        }
        state.members.clear();
    }

    /// Records of a partition that are stored and not settled, and the first of them.
    pub(crate) fn unsettled(&self, partition: u16) -> (u64, Option<i64>) {
        let state = lock(&self.state);
        let settled = &state.parts[usize::from(partition)].settled;
        let end = self.lanes[usize::from(partition)].end();
        let first = settled.next_unsettled(0);
        (settled.unsettled(end), (first < end).then_some(first))
    }

    fn lease(&self, state: &State, index: usize) -> Lease {
        let lane = &self.lanes[index];
        Lease { channel: self.channel.clone(), partition: lane.partition, epoch: state.parts[index].epoch }
    }

    /// Gives free partitions away and asks for those that somebody has too many of.
    fn rebalance(&self, state: &mut State, drain: Duration) {
        let members: Vec<u64> = state.members.iter().map(|member| member.id).collect();
        let owners: Vec<Option<u64>> = state.parts.iter().map(|part| part.owner).collect();
        let deadline = Instant::now() + drain;
        for (index, wanted) in balance(&owners, &members).into_iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let part = &mut state.parts[index];
            if part.owner.is_some() && part.owner != Some(wanted) && part.leaving.is_none() {
                part.leaving = Some(deadline);
                let news = Intaken::Revoking(self.lease(state, index), deadline.into_std());
                tell(state, state.parts[index].owner, news);
            }
            if state.parts[index].drained() {
                self.end(state, index);
            }
            if state.parts[index].owner.is_none() {
                state.parts[index].owner = Some(wanted);
                tell(state, Some(wanted), Intaken::Assigned(self.lease(state, index)));
                wake(state, index);
            }
        }
    }

    fn end_if_drained(&self, state: &mut State, index: usize, drain: Duration) {
        if state.parts[index].drained() {
            self.end(state, index);
            self.rebalance(state, drain);
        }
    }

    /// Takes the lease from its owner; what is still in flight goes to the next.
    fn end(&self, state: &mut State, index: usize) {
        let lease = self.lease(state, index);
        let part = &mut state.parts[index];
        let owner = part.owner.take();
        part.leaving = None;
        part.epoch += 1;
        for (sequence, before) in std::mem::take(&mut part.in_flight) {
            part.returned.insert(sequence, before.saturating_add(1));
        }
        tell(state, owner, Intaken::Lost(lease));
    }
}

impl Part {
    fn drained(&self) -> bool {
        self.leaving.is_some() && self.in_flight.is_empty()
    }

    /// Runs to read, given-back records first, at most `records`, which is lowered by what was planned.
    fn runs(&self, end: i64, records: &mut usize) -> Vec<(i64, i64)> {
        let mut runs: Vec<(i64, i64)> = Vec::new();
        for &sequence in self.returned.keys().take(*records) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == sequence => *last = sequence,
                _ => runs.push((sequence, sequence)),
            }
            *records -= 1;
        }
        let mut next = self.settled.next_unsettled(self.next);
        while *records > 0 && next < end {
            let most = next.saturating_add(i64::try_from(*records).unwrap_or(i64::MAX) - 1);
            let last = self.settled.unsettled_until(next, most.min(end - 1));
            *records -= usize::try_from(last - next + 1).unwrap_or(*records);
            runs.push((next, last));
            next = self.settled.next_unsettled(last + 1);
        }
        runs
    }

    fn hand_out(&mut self, sequence: i64) -> Option<u32> {
        let before = if sequence >= self.next {
            self.next = sequence + 1;
            0
        } else {
            self.returned.remove(&sequence)?
        };
        if self.settled.contains(sequence) {
            return None;
        }
        self.in_flight.insert(sequence, before);
        Some(before)
    }
}

fn tell(state: &State, owner: Option<u64>, news: Intaken) {
    if let Some(member) = state.members.iter().find(|member| Some(member.id) == owner) {
        member.inbox.tell(news);
    }
}

fn wake(state: &State, index: usize) {
    let owner = state.parts[index].owner;
    if let Some(member) = state.members.iter().find(|member| Some(member.id) == owner) {
        member.inbox.ready(member.slot);
    }
}
