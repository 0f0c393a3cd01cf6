//! As much of a damaged database's channels as can be read.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::Connection;
use trunkline_broker::{ChannelName, GroupName};

use super::catalog::{load_channels, load_gaps, load_group_names, load_lane_rows};
use super::{Loaded, load_state};
use crate::catalog::{Channel, Lane, Settings};
use crate::group::Group;
use crate::ranges::Settled;
use crate::reader::read_run;
use crate::schema;
use crate::writer::{Base, State};

/// As much of the catalog as can be read. Where the row of a lane is damaged its first record says where it begins, and
/// how far it reaches is left to the side file; a channel of which a lane has no row at all can't be read, because its
/// records can't be proven. Of channels that claim the same number the one whose records prove it is read.
pub(crate) fn load_leniently(connection: &Connection) -> Loaded {
    let state = load_state(connection).unwrap_or(State::first());
    let mut claims: Vec<Claim> = load_channels(connection)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(id, name, settings)| claim(connection, id, &name, settings))
        .collect();
    claims.sort_by_key(|claim| std::cmp::Reverse(claim.proven));
    let mut taken = Taken::default();
    let mut channels: Vec<_> = claims
        .into_iter()
        .filter(|claim| {
            let fits = taken.admit(&claim.channel);
            if !fits {
                let channel = claim.channel.name.as_str();
                tracing::error!(channel, "the channel can't be told from another one, so it can't be read");
            }
            fits
        })
        .map(|claim| Arc::new(claim.channel))
        .collect();
    channels.sort_by_key(|channel| channel.id);
    Loaded { base: Base { state, ..Base::default() }, channels }
}

/// A row that says it is a channel.
struct Claim {
    channel: Channel,
    /// How many of its lanes hold what their row says.
    proven: usize,
}

fn claim(connection: &Connection, id: i64, name: &str, settings: Settings) -> Option<Claim> {
    let name = ChannelName::parse(name).ok()?;
    let (lanes, proven) = lenient_lanes(connection, id, &name).unwrap_or_default();
    if lanes.is_empty() {
        tracing::error!(channel = %name, "the channel can't be read at all");
        return None;
    }
    let group = |(id, group): (i64, String)| {
        let settled = vec![Settled::default(); lanes.len()];
        let group = GroupName::parse(&group).ok()?;
        Some(Arc::new(Group::new(id, group, name.clone(), lanes.clone(), settled)))
    };
    let groups = load_group_names(connection, id).unwrap_or_default();
    let groups = groups.into_iter().filter_map(group).collect();
    Some(Claim { channel: Channel::new(id, name, settings, lanes, groups), proven })
}

/// The names and numbers that are given out.
#[derive(Default)]
struct Taken {
    names: BTreeSet<ChannelName>,
    channels: BTreeSet<i64>,
    groups: BTreeSet<i64>,
    lanes: BTreeSet<i64>,
}

impl Taken {
    /// Whether nothing of the channel is taken; then all of it is from now on.
    fn admit(&mut self, channel: &Channel) -> bool {
        let groups: BTreeSet<_> = channel.groups().iter().map(|group| group.id).collect();
        let lanes: BTreeSet<_> = channel.lanes.iter().map(|lane| lane.id).collect();
        let free = groups.len() == channel.groups().len()
            && lanes.len() == channel.lanes.len()
            && groups.is_disjoint(&self.groups)
            && lanes.is_disjoint(&self.lanes)
            && !self.channels.contains(&channel.id)
            && !self.names.contains(&channel.name);
        if free {
            self.names.insert(channel.name.clone());
            self.channels.insert(channel.id);
            self.groups.extend(groups);
            self.lanes.extend(lanes);
        }
        free
    }
}

/// The lanes of a channel, none where one has no row, and how many of them hold what their row says.
fn lenient_lanes(
    connection: &Connection,
    channel: i64,
    name: &ChannelName,
) -> rusqlite::Result<(Vec<Arc<Lane>>, usize)> {
    let (mut lanes, mut proven) = (Vec::new(), 0);
    for (id, partition, ends, checksum) in load_lane_rows(connection, channel)? {
        let whole = ends.checksum(id, channel, partition) == checksum;
        let first = if whole { ends.first } else { first_kept(connection, name, partition) };
        let ends = (first, if whole { ends.next } else { first });
        let gaps = load_gaps(connection, id).unwrap_or_default();
        let lane = Lane::new(id, name.clone(), partition, ends, gaps);
        proven += usize::from(whole && holds(connection, &lane, ends));
        lanes.push(Arc::new(lane));
    }
    let contiguous = lanes.iter().zip(0..).all(|(lane, partition)| lane.partition == partition);
    // A row that was damaged may count as another channel's now, or not at all; its table is still there.
    let complete = lanes.len() >= lane_tables(connection, name)?;
    Ok(if contiguous && complete { (lanes, proven) } else { (Vec::new(), 0) })
}

/// How many partitions of a channel have a table, counted from the first.
fn lane_tables(connection: &Connection, name: &ChannelName) -> rusqlite::Result<usize> {
    let mut find = connection.prepare_cached("SELECT 1 FROM sqlite_master WHERE name = ?1")?;
    let mut count = 0;
    for partition in 0..=u16::MAX {
        if !find.exists([schema::lane_table(name.as_str(), partition)])? {
            break;
        }
        count += 1;
    }
    Ok(count)
}

/// Whether one of the lane's records is whole, or none should be there.
fn holds(connection: &Connection, lane: &Lane, (first, next): (i64, i64)) -> bool {
    let mut records = Vec::new();
    let whole = |sequence| {
        let read = read_run(connection, lane, (sequence, sequence), &mut usize::MAX.clone(), &mut records);
        read.is_ok() && !records.is_empty()
    };
    first >= next || [first, next - 1].into_iter().any(whole)
}

/// The first sequence, by what is there.
fn first_kept(connection: &Connection, name: &ChannelName, partition: u16) -> i64 {
    let table = schema::lane_table(name.as_str(), partition);
    let query = format!("SELECT sequence FROM \"{table}\" ORDER BY sequence LIMIT 1");
    connection.query_row(&query, [], |row| row.get::<_, i64>(0)).map_or(1, |first| first.max(1))
}
