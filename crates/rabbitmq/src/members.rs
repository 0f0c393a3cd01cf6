//! Who consumes what: this process's intakes, and what other processes announced.
//!
//! Everybody who knows the same members gives each partition to the same one ([`crate::balance`]). Views differ for moments;
//! then a queue's single active consumer is the fence, and nobody takes a lease that another one is known to hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use trunkline_broker::{ChannelName, GroupName};

use crate::announcement::{Announcement, Hold, InHand, MemberLine};
use crate::balance::balance;
use crate::consume::partition::Partition;
use crate::consume::slot::Slot;

/// A lease that this process may take part in: whose, of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Stake {
    pub(crate) member: String,
    pub(crate) hold: Hold,
}

/// A lease that this process is to take.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) stake: Stake,
    pub(crate) slot: Arc<Slot>,
    /// Turns true when the lease is to be given up.
    pub(crate) leave: watch::Receiver<bool>,
}

/// Members and leases, of this process and of the others.
#[derive(Debug)]
pub(crate) struct Members {
    /// What tells this process apart.
    pub(crate) process: String,
    /// Something is to be announced.
    pub(crate) dirty: Notify,
    /// Channels were declared or removed; the others are to be told.
    pub(crate) changed: Notify,
    /// Counts whenever leases may have become free.
    freed: watch::Sender<u64>,
    /// This process has listened long enough to know who was there before it.
    acquainted: watch::Sender<bool>,
    observers: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// This process's members, by id.
    local: BTreeMap<String, Member>,
    stakes: HashMap<Stake, StakeState>,
    peers: HashMap<String, Peer>,
    /// How many look at a channel in this process.
    observed: BTreeMap<ChannelName, usize>,
    epochs: HashMap<Hold, u64>,
    last_member: u64,
}

#[derive(Debug)]
struct Member {
    group: GroupName,
    slots: BTreeMap<ChannelName, Arc<Slot>>,
}

#[derive(Debug)]
struct StakeState {
    leave: watch::Sender<bool>,
    /// The lease is held, or being given up.
    held: bool,
    partition: Option<Arc<Partition>>,
}

#[derive(Debug)]
struct Peer {
    heard: Instant,
    said: Announcement,
}

impl Members {
    pub(crate) fn new() -> Self {
        Self {
            process: format!("{:016x}", RandomState::new().hash_one("process")),
            dirty: Notify::new(),
            changed: Notify::new(),
            freed: watch::Sender::new(0),
            acquainted: watch::Sender::new(false),
            observers: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    /// A new member's id.
    pub(crate) fn new_member(&self) -> String {
        let mut state = self.lock();
        state.last_member += 1;
        format!("{}-{}", self.process, state.last_member)
    }

    /// A member begins to consume a channel. Returns the leases to take.
    pub(crate) fn join(&self, member: &str, group: &GroupName, slot: Arc<Slot>) -> Vec<Wanted> {
        let mut state = self.lock();
        let entry = state.local.entry(member.to_owned());
        let entry = entry.or_insert_with(|| Member { group: group.clone(), slots: BTreeMap::new() });
        entry.slots.insert(slot.channel.name.clone(), slot.clone());
        self.dirty.notify_one();
        state.assign(group, &slot.channel.name)
    }

    /// A member stops consuming a channel; its leases end when they are drained. Returns the leases that others take.
    pub(crate) fn leave(&self, member: &str, channel: &ChannelName) -> Vec<Wanted> {
        let mut state = self.lock();
        let Some(entry) = state.local.get_mut(member) else { return Vec::new() };
        let group = entry.group.clone();
        entry.slots.remove(channel);
        if entry.slots.is_empty() {
            state.local.remove(member);
        }
        self.dirty.notify_one();
        state.assign(&group, channel)
    }

    /// A lease task has ended. Returns the leases to take: it may have been wanted again meanwhile.
    pub(crate) fn ended(&self, stake: &Stake) -> Vec<Wanted> {
        let mut state = self.lock();
        state.stakes.remove(stake);
        self.freed.send_modify(|count| *count += 1);
        self.dirty.notify_one();
        state.assign(&stake.hold.group, &stake.hold.channel)
    }

    /// Everybody who was there has had the time to say so.
    pub(crate) fn acquaint(&self) {
        self.acquainted.send_replace(true);
    }

    /// Turns true when leases may be taken: before, somebody unknown may be about to take the same.
    pub(crate) fn acquainted(&self) -> watch::Receiver<bool> {
        self.acquainted.subscribe()
    }

    /// Whether nobody else is known to hold a lease.
    pub(crate) fn is_free(&self, stake: &Stake) -> bool {
        self.lock().is_free(stake)
    }

    /// Takes a lease, unless somebody is known to hold it. Returns its epoch.
    pub(crate) fn hold(&self, stake: &Stake) -> Option<u64> {
        let mut state = self.lock();
        if !state.is_free(stake) {
            return None;
        }
        state.stakes.get_mut(stake)?.held = true;
        let epoch = state.epochs.entry(stake.hold.clone()).or_insert(0);
        *epoch += 1;
        let epoch = *epoch;
        self.dirty.notify_one();
        Some(epoch)
    }

    /// What a held lease's records are in, for those who ask how many.
    pub(crate) fn attach(&self, stake: &Stake, partition: Arc<Partition>) {
        if let Some(state) = self.lock().stakes.get_mut(stake) {
            state.partition = Some(partition);
        }
    }

    /// A lease is free again, though its task goes on.
    pub(crate) fn release(&self, stake: &Stake) {
        if let Some(state) = self.lock().stakes.get_mut(stake) {
            state.held = false;
            state.partition = None;
        }
        self.freed.send_modify(|count| *count += 1);
        self.dirty.notify_one();
    }

    /// Changes whenever a lease may have become free.
    pub(crate) fn freed(&self) -> watch::Receiver<u64> {
        self.freed.subscribe()
    }

    /// What another process said. Returns the leases to take, and whether that process is new.
    pub(crate) fn heard(&self, process: &str, said: Announcement) -> (Vec<Wanted>, bool) {
        let mut state = self.lock();
        let peer = Peer { heard: Instant::now(), said };
        let after = peer.said.clone();
        let before = state.peers.insert(process.to_owned(), peer).map(|peer| peer.said);
        let new = before.is_none();
        (self.follow(&mut state, before.unwrap_or_default(), after), new)
    }

    /// Another process said goodbye.
    pub(crate) fn gone(&self, process: &str) -> Vec<Wanted> {
        let mut state = self.lock();
        let Some(peer) = state.peers.remove(process) else { return Vec::new() };
        self.follow(&mut state, peer.said, Announcement::default())
    }

    /// Forgets processes that have been silent for so long.
    pub(crate) fn expire(&self, silence: Duration) -> Vec<Wanted> {
        let silent: Vec<String> = {
            let state = self.lock();
            let silent = state.peers.iter().filter(|(_, peer)| peer.heard.elapsed() > silence);
            silent.map(|(process, _)| process.clone()).collect()
        };
        silent
            .iter()
            .flat_map(|process| {
                tracing::info!(process, "another process has fallen silent; its leases are taken over");
                self.gone(process)
            })
            .collect()
    }

    /// While this process could not hear, nobody's silence counts.
    pub(crate) fn forgive(&self) {
        self.lock().peers.values_mut().for_each(|peer| peer.heard = Instant::now());
    }

    /// What this process has to say.
    pub(crate) fn announcement(&self, queue: &str) -> Announcement {
        let state = self.lock();
        let line = |(id, member): (&String, &Member)| MemberLine {
            id: id.clone(),
            group: member.group.clone(),
            channels: member.slots.keys().cloned().collect(),
        };
        let mut holds: Vec<Hold> =
            state.stakes.iter().filter(|(_, held)| held.held).map(|(stake, _)| stake.hold.clone()).collect();
        holds.sort();
        Announcement {
            queue: queue.to_owned(),
            members: state.local.iter().map(line).collect(),
            holds,
            observes: state.observed.keys().cloned().collect(),
        }
    }

    /// Other processes' queues: of those who hold a lease on this, or of all.
    pub(crate) fn peers(&self, group: &GroupName, channel: &ChannelName, all: bool) -> Vec<String> {
        let state = self.lock();
        let holds = |peer: &&Peer| {
            all || peer.said.holds.iter().any(|hold| hold.group == *group && hold.channel == *channel)
        };
        state.peers.values().filter(holds).map(|peer| peer.said.queue.clone()).collect()
    }

    /// Partitions that somebody is known to hold, here or elsewhere.
    pub(crate) fn held(&self, group: &GroupName, channel: &ChannelName) -> BTreeSet<u16> {
        let state = self.lock();
        let here = state.stakes.iter().filter(|(_, held)| held.held).map(|(stake, _)| &stake.hold);
        let there = state.peers.values().flat_map(|peer| &peer.said.holds);
        let of_it = |hold: &&Hold| hold.group == *group && hold.channel == *channel;
        here.chain(there).filter(of_it).map(|hold| hold.partition).collect()
    }

    /// How many records this process has in hand, prefetched ones included.
    pub(crate) fn in_hand(&self, channel: &ChannelName, group: &GroupName) -> BTreeMap<u16, InHand> {
        let state = self.lock();
        let mut in_hand = BTreeMap::new();
        for (stake, held) in &state.stakes {
            if stake.hold.group == *group
                && stake.hold.channel == *channel
                && let Some(partition) = &held.partition
            {
                let entry: &mut InHand = in_hand.entry(stake.hold.partition).or_default();
                let mine = partition.in_hand();
                entry.records += mine.records;
                entry.first = entry.first.into_iter().chain(mine.first).min();
            }
        }
        in_hand
    }

    /// Somebody in this process begins to look at a channel.
    pub(crate) fn observe(&self, channel: &ChannelName) {
        let mut state = self.lock();
        *state.observed.entry(channel.clone()).or_insert(0) += 1;
        self.count_observed(&state);
        self.dirty.notify_one();
    }

    /// Somebody stops looking.
    pub(crate) fn unobserve(&self, channel: &ChannelName) {
        let mut state = self.lock();
        if let Some(count) = state.observed.get_mut(channel) {
            *count -= 1;
            if *count == 0 {
                state.observed.remove(channel);
            }
        }
        self.count_observed(&state);
        self.dirty.notify_one();
    }

    /// Whether anybody looks at a channel.
    pub(crate) fn is_observed(&self, channel: &ChannelName) -> bool {
        if self.observers.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let state = self.lock();
        state.observed.contains_key(channel)
            || state.peers.values().any(|peer| peer.said.observes.contains(channel))
    }

    /// Channels were declared or removed.
    pub(crate) fn tell_changed(&self) {
        self.changed.notify_one();
    }

    /// Looks at what a process's news change: for leases, and for those who wait for one.
    fn follow(&self, state: &mut State, before: Announcement, after: Announcement) -> Vec<Wanted> {
        self.count_observed(state);
        if before.holds != after.holds {
            self.freed.send_modify(|count| *count += 1);
        }
        if before.members == after.members {
            return Vec::new();
        }
        let lines = before.members.iter().chain(&after.members);
        let touched: BTreeSet<(&GroupName, &ChannelName)> =
            lines.flat_map(|member| member.channels.iter().map(|channel| (&member.group, channel))).collect();
        touched.into_iter().flat_map(|(group, channel)| state.assign(group, channel)).collect()
    }

    fn count_observed(&self, state: &State) {
        let there: usize = state.peers.values().map(|peer| peer.said.observes.len()).sum();
        self.observers.store(state.observed.len() + there, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_free(&self, stake: &Stake) -> bool {
        let other = |other: &Stake| other.hold == stake.hold && other.member != stake.member;
        let held_here = self.stakes.iter().any(|(stake, state)| state.held && other(stake));
        !held_here && !self.peers.values().any(|peer| peer.said.holds.contains(&stake.hold))
    }

    /// Finds out who gets which partition of a channel; asks this process's members to leave what is another's. Returns the
    /// leases to take.
    fn assign(&mut self, group: &GroupName, channel: &ChannelName) -> Vec<Wanted> {
        let here = |(id, member): (&String, &Member)| {
            (member.group == *group && member.slots.contains_key(channel)).then(|| id.clone())
        };
        let there = self.peers.values().flat_map(|peer| &peer.said.members);
        let there = there.filter(|line| line.group == *group && line.channels.contains(channel));
        let mut members: Vec<String> = self.local.iter().filter_map(here).collect();
        members.extend(there.map(|line| line.id.clone()));
        members.sort();
        members.dedup();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let slots = self.local.values().filter(|member| member.group == *group);
        let partitions =
            slots.filter_map(|member| member.slots.get(channel)).map(|slot| slot.channel.partitions);
        let partitions = partitions.max().unwrap_or(0);
        let owners = balance(channel.as_str(), partitions, &members);

        for (stake, state) in &self.stakes {
            let hold = &stake.hold;
            if hold.group == *group && hold.channel == *channel {
                let owner = owners.get(usize::from(hold.partition)).copied().flatten();
                if owner != Some(stake.member.as_str()) {
                    state.leave.send_replace(true);
                }
            }
        }
        let mut wanted = Vec::new();
        for (partition, owner) in (0..partitions).zip(owners) {
            let Some(member) = owner.and_then(|owner| self.local.get_key_value(owner)) else { continue };
            let Some(slot) = member.1.slots.get(channel).cloned() else { continue };
            let hold = Hold { group: group.clone(), channel: channel.clone(), partition };
            let stake = Stake { member: member.0.clone(), hold };
            // One that is being left is taken anew when it has ended.
            if !self.stakes.contains_key(&stake) {
                let (leave, told) = watch::channel(false);
                self.stakes.insert(stake.clone(), StakeState { leave, held: false, partition: None });
                wanted.push(Wanted { stake, slot, leave: told });
            }
        }
        wanted
    }
}
