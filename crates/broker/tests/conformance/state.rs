//! What the reference engine remembers: records, and per group and partition which of them are ready or handed out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant, SystemTime};

use trunkline_broker::{ChannelName, ChannelSpec, GroupName, Intaken, Keep, Lease, Outgoing};

use super::fault::Fault;

/// How long a consumer may keep a lease that is to pass to another one.
const GRACE: Duration = Duration::from_millis(300);

#[derive(Default)]
pub(super) struct State {
    pub(super) fault: Fault,
    /// The processes whose handles live.
    pub(super) alive: BTreeSet<u64>,
    pub(super) channels: BTreeMap<ChannelName, Channel>,
    pub(super) consumers: BTreeMap<u64, Member>,
    pub(super) last_id: u64,
}

pub(super) struct Channel {
    pub(super) spec: ChannelSpec,
    pub(super) partitions: Vec<BTreeMap<i64, Stored>>,
    pub(super) delayed: Vec<(Instant, Outgoing)>,
    pub(super) groups: BTreeMap<GroupName, Vec<Place>>,
    pub(super) last_offset: i64,
}

#[derive(Clone)]
pub(super) struct Stored {
    pub(super) record: Outgoing,
    pub(super) stored: SystemTime,
}

/// Where a group stands in one partition.
#[derive(Default)]
pub(super) struct Place {
    pub(super) ready: BTreeSet<i64>,
    pub(super) out: BTreeSet<i64>,
    pub(super) owner: Option<(u64, Lease)>,
    revoked: Option<Instant>,
}

pub(super) struct Member {
    pub(super) process: u64,
    pub(super) group: GroupName,
    pub(super) channels: BTreeSet<ChannelName>,
    pub(super) held: BTreeSet<ChannelName>,
    pub(super) news: VecDeque<Intaken>,
}

impl State {
    pub(super) fn declare(&mut self, spec: &ChannelSpec) {
        let partitions = usize::from(spec.partitions);
        let channel = self.channels.entry(spec.name.clone()).or_insert_with(|| Channel {
            spec: spec.clone(),
            partitions: vec![BTreeMap::new(); partitions],
            delayed: Vec::new(),
            groups: BTreeMap::new(),
            last_offset: 0,
        });
        for group in &spec.groups {
            if !channel.groups.contains_key(group) {
                let kept = channel
                    .partitions
                    .iter()
                    .map(|records| Place { ready: records.keys().copied().collect(), ..Place::default() });
                let kept = kept.collect();
                channel.groups.insert(group.clone(), kept);
            }
            if !channel.spec.groups.contains(group) {
                channel.spec.groups.push(group.clone());
            }
        }
    }

    /// Every process is cut off.
    pub(super) fn restart(&mut self) {
        for process in std::mem::take(&mut self.alive) {
            self.end(process);
        }
    }

    /// One process disappears.
    pub(super) fn crash(&mut self, process: u64) {
        if self.fault == Fault::LosesTailInCrash {
            for channel in self.channels.values_mut() {
                let tail = channel.last_offset;
                channel.partitions.iter_mut().for_each(|records| drop(records.remove(&tail)));
                for place in channel.groups.values_mut().flatten() {
                    place.ready.remove(&tail);
                }
            }
        }
        if self.fault == Fault::ForgetsDelaysInCrash {
            self.channels.values_mut().for_each(|channel| channel.delayed.clear());
        }
        self.end(process);
    }

    fn end(&mut self, process: u64) {
        self.alive.remove(&process);
        let gone: Vec<u64> =
            self.consumers.iter().filter(|(_, m)| m.process == process).map(|(id, _)| *id).collect();
        for id in gone {
            self.leave(id);
        }
    }

    /// One consumer leaves; what was handed out to it is ready again.
    pub(super) fn leave(&mut self, id: u64) {
        self.consumers.remove(&id);
        for place in self.channels.values_mut().flat_map(|c| c.groups.values_mut()).flatten() {
            if place.owner.as_ref().is_some_and(|(owner, _)| *owner == id) {
                if self.fault == Fault::LosesHandedOutWithLease {
                    place.out.clear();
                }
                place.release();
            }
        }
    }

    /// Stores what has become due, and moves leases to where they belong.
    pub(super) fn maintain(&mut self) {
        let now = Instant::now();
        for channel in self.channels.values_mut() {
            let (due, later) = channel.delayed.drain(..).partition(|(due, _)| *due <= now);
            channel.delayed = later;
            if self.fault == Fault::DropsUnsettledByAge && channel.spec.keep != Keep::UntilSettled {
                channel.groups.values_mut().flatten().for_each(|place| place.ready.clear());
            }
            let mut due: Vec<(Instant, Outgoing)> = due;
            due.sort_by_key(|(due, _)| *due);
            for (_, record) in due {
                channel.append(record, self.fault);
            }
        }
        let names: Vec<_> = self.channels.keys().cloned().collect();
        for name in names {
            self.balance(&name, now);
        }
    }

    fn balance(&mut self, name: &ChannelName, now: Instant) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        for (group, places) in &mut channel.groups {
            let joined = |member: &Member| member.group == *group && member.channels.contains(name);
            let members: Vec<u64> =
                self.consumers.iter().filter(|(_, member)| joined(member)).map(|(id, _)| *id).collect();
            for (partition, place) in places.iter_mut().enumerate() {
                let wanted = (!members.is_empty()).then(|| members[partition % members.len()]);
                if place.owner.as_ref().map(|(id, _)| *id) == wanted {
                    continue;
                }
                if let Some((id, lease)) = &place.owner {
                    let member = self.consumers.get_mut(id);
                    if let (Some(member), false) = (member, place.out.is_empty()) {
                        let deadline = *place.revoked.get_or_insert_with(|| {
                            member.news.push_back(Intaken::Revoking(lease.clone(), now + GRACE));
                            now + GRACE
                        });
                        if now < deadline {
                            continue;
                        }
                    }
                    if let Some(member) = self.consumers.get_mut(id) {
                        member.news.push_back(Intaken::Lost(lease.clone()));
                    }
                    place.release();
                }
                if let Some(id) = wanted {
                    self.last_id += 1;
                    let partition = u16::try_from(partition).expect("few partitions");
                    let lease = Lease { channel: name.clone(), partition, epoch: self.last_id };
                    place.owner = Some((id, lease.clone()));
                    if let Some(member) = self.consumers.get_mut(&id) {
                        member.news.push_back(Intaken::Assigned(lease));
                    }
                }
            }
        }
    }
}

impl Channel {
    pub(super) fn append(&mut self, record: Outgoing, fault: Fault) {
        let mut hasher = DefaultHasher::new();
        if fault == Fault::MovesKeys {
            self.last_offset.hash(&mut hasher);
        }
        record.key.hash(&mut hasher);
        let partition =
            usize::try_from(hasher.finish() % self.partitions.len() as u64).expect("few partitions");
        self.last_offset += 1;
        let groups = if fault == Fault::ServesOneGroup { 1 } else { self.groups.len() };
        for places in self.groups.values_mut().take(groups) {
            places[partition].ready.insert(self.last_offset);
        }
        self.partitions[partition].insert(self.last_offset, Stored { record, stored: SystemTime::now() });
    }

    /// Drops records that every group has settled, where the channel keeps them only until then.
    pub(super) fn tidy(&mut self) {
        if self.spec.keep != Keep::UntilSettled {
            return;
        }
        for (partition, records) in self.partitions.iter_mut().enumerate() {
            let oldest = self.groups.values().filter_map(|places| places[partition].oldest()).min();
            *records = oldest.map(|oldest| records.split_off(&oldest)).unwrap_or_default();
        }
    }
}

impl Place {
    pub(super) fn release(&mut self) {
        self.ready.append(&mut self.out);
        self.owner = None;
        self.revoked = None;
    }

    pub(super) fn flows(&self) -> bool {
        self.revoked.is_none()
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.ready.first().into_iter().chain(self.out.first()).min().copied()
    }

    pub(super) fn leased(&self, epoch: u64) -> bool {
        self.owner.as_ref().is_some_and(|(_, lease)| lease.epoch == epoch)
    }
}
