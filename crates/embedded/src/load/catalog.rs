//! Channels with their lanes and groups, from their tables.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};
use trunkline_broker::{ChannelName, GroupName};

use super::{LoadError, Loaded, damaged};
use crate::catalog::{Channel, Lane, Settings, keep_from};
use crate::codec::checksum_with;
use crate::error::Damage;
use crate::group::Group;
use crate::ranges::{Ranges, Settled};
use crate::reader::describe;
use crate::schema;
use crate::writer::{Base, Ends, State};

/// Every channel, or why not.
pub(super) fn load_catalog(connection: &Connection, state: State) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded { base: Base { state, ..Base::default() }, channels: Vec::new() };
    for (id, name, settings) in load_channels(connection)? {
        let name = ChannelName::parse(&name).map_err(|error| damaged(describe(&error)))?;
        let lanes = load_lanes(connection, (id, &name), &mut loaded.base)?;
        let groups = load_groups(connection, (id, &name), &lanes, &mut loaded.base)?;
        loaded.channels.push(Arc::new(Channel::new(id, name, settings, lanes, groups)));
    }
    Ok(loaded)
}

pub(super) fn load_channels(connection: &Connection) -> rusqlite::Result<Vec<(i64, String, Settings)>> {
    let mut statement =
        connection.prepare("SELECT id, name, keep_ms, keep_bytes, max_record FROM channels ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        let keep = keep_from(row.get(2)?, row.get(3)?);
        let max_record = usize::try_from(row.get::<_, i64>(4)?).unwrap_or(usize::MAX);
        Ok((row.get(0)?, row.get(1)?, Settings { keep, max_record }))
    })?;
    rows.collect()
}

type LaneRow = (i64, u16, Ends, i64);

pub(super) fn load_lane_rows(connection: &Connection, channel: i64) -> rusqlite::Result<Vec<LaneRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, \"partition\", first, next, bytes, crc FROM lanes WHERE channel = ?1 ORDER BY \"partition\"",
    )?;
    let rows = statement.query_map([channel], |row| {
        let ends = Ends { first: row.get(2)?, next: row.get(3)?, bytes: row.get(4)? };
        Ok((row.get(0)?, row.get(1)?, ends, row.get(5)?))
    })?;
    rows.collect()
}

pub(super) fn load_group_names(
    connection: &Connection,
    channel: i64,
) -> rusqlite::Result<Vec<(i64, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT id, name FROM channel_groups WHERE channel = ?1 ORDER BY id")?;
    let rows = statement.query_map([channel], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn load_lanes(
    connection: &Connection,
    (channel, name): (i64, &ChannelName),
    base: &mut Base,
) -> Result<Vec<Arc<Lane>>, LoadError> {
    let mut lanes = Vec::new();
    for (id, partition, ends, checksum) in load_lane_rows(connection, channel)? {
        if ends.checksum(id, channel, partition) != checksum {
            let what = "the row of `lanes` does not match its checksum";
            let damage =
                Damage { partition: Some(partition), channel: Some(name.to_string()), ..Damage::whole(what) };
            return Err(LoadError::Damaged(vec![damage]));
        }
        let gaps = load_gaps(connection, id)?;
        base.ends.insert(id, ends);
        lanes.push(Arc::new(Lane::new(id, name.clone(), partition, (ends.first, ends.next), gaps)));
    }
    Ok(lanes)
}

pub(super) fn load_gaps(connection: &Connection, lane: i64) -> Result<Ranges, LoadError> {
    let mut statement = connection.prepare_cached("SELECT first, last FROM gaps WHERE lane = ?1")?;
    let rows = statement.query_map([lane], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut gaps = Ranges::default();
    for row in rows {
        let (first, last) = row?;
        gaps.insert_range(first, last);
    }
    Ok(gaps)
}

fn load_groups(
    connection: &Connection,
    (channel, name): (i64, &ChannelName),
    lanes: &[Arc<Lane>],
    base: &mut Base,
) -> Result<Vec<Arc<Group>>, LoadError> {
    let mut groups = Vec::new();
    for (id, group) in load_group_names(connection, channel)? {
        let group = GroupName::parse(&group).map_err(|error| damaged(describe(&error)))?;
        let mut settled = Vec::new();
        for lane in lanes {
            let loaded = load_cursor(connection, id, lane.partition)?;
            let of = || format!("what group `{group}` has settled");
            let loaded = loaded.ok_or_else(|| {
                let what = format!("{} is missing or does not match its checksum", of());
                let damage = Damage { partition: Some(lane.partition), ..Damage::whole(what) };
                LoadError::Damaged(vec![Damage { channel: Some(name.to_string()), ..damage }])
            })?;
            base.settled.insert((id, lane.partition), loaded.clone());
            settled.push(loaded);
        }
        groups.push(Arc::new(Group::new(id, group, name.clone(), lanes.to_vec(), settled)));
    }
    Ok(groups)
}

/// What a group has settled in a partition; `None` when the row is missing or damaged.
pub(crate) fn load_cursor(
    connection: &Connection,
    group: i64,
    partition: u16,
) -> rusqlite::Result<Option<Settled>> {
    let id = schema::cursor_id(group, partition);
    let mut statement = connection.prepare_cached("SELECT prefix, beyond, crc FROM cursors WHERE id = ?1")?;
    let row = statement.query_row([id], |row| {
        let prefix: i64 = row.get(0)?;
        let beyond: Vec<u8> = row.get(1)?;
        let whole = i64::from(checksum_with(&[id, prefix], &beyond)) == row.get::<_, i64>(2)?;
        Ok(if whole { Settled::decode(prefix, &beyond) } else { None })
    });
    row.optional().map(Option::flatten)
}
