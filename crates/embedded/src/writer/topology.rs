//! Creating, extending and removing channels.

use std::sync::Arc;

use rusqlite::params;
use trunkline_broker::{ChannelName, ChannelSpec, Ensure, GroupName, Keep, TopologyError};

use super::base::Ends;
use super::transaction::{Change, Transaction, write_cursor};
use super::{Base, Writer};
use crate::catalog::{Channel, Lane, Settings, keep_columns};
use crate::error::EngineError;
use crate::group::Group;
use crate::ranges::{Ranges, Settled};
use crate::request::TopologyChange;
use crate::schema;

/// What becomes visible once it is durable.
enum Install {
    Channel(Arc<Channel>),
    Group(Arc<Channel>, Arc<Group>),
    Settings(Arc<Channel>, Settings),
}

impl Writer {
    /// Changes the channels, alone: everything stored before is durable before it begins, and it is durable when it
    /// ends.
    pub(super) fn change_topology(&mut self, change: TopologyChange) -> Result<(), TopologyError> {
        self.drain();
        if let Some(error) = self.core.stopped() {
            return Err(TopologyError::Unavailable(error.into()));
        }
        match change {
            TopologyChange::Ensure(specs, mode) => self.ensure(&specs, mode),
            TopologyChange::Remove(name, force) => self.remove(&name, force),
        }
    }

    fn ensure(&mut self, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
        let mut missing = false;
        for spec in specs {
            missing |= self.check(spec, mode)?;
        }
        if missing { self.create(specs).map_err(unavailable) } else { Ok(()) }
    }

    /// Whether something is missing that may be created.
    fn check(&self, spec: &ChannelSpec, mode: Ensure) -> Result<bool, TopologyError> {
        let name = &spec.name;
        let mismatch = |wanted: String, found: String| {
            Err(TopologyError::Mismatch { channel: name.clone(), wanted, found })
        };
        let limit = self.core.options.max_record;
        if spec.max_record > limit {
            return mismatch(format!("records of {} bytes", spec.max_record), format!("a limit of {limit}"));
        }
        if spec.partitions == 0 {
            return mismatch("0 partitions".to_owned(), "at least 1".to_owned());
        }
        let Some(channel) = self.core.catalog.get(name) else {
            return if mode == Ensure::Create { Ok(true) } else { Err(TopologyError::Missing(name.clone())) };
        };
        if channel.partitions() != spec.partitions {
            let text = |count: u16| format!("{count} partition{}", if count == 1 { "" } else { "s" });
            return mismatch(text(spec.partitions), text(channel.partitions()));
        }
        let lacking = spec.groups.iter().find(|group| channel.group(group).is_none());
        if let (Some(group), Ensure::Verify) = (lacking, mode) {
            return mismatch(format!("group `{group}`"), "no such group".to_owned());
        }
        let settings = channel.settings();
        let same = settings == Settings { keep: spec.keep.clone(), max_record: spec.max_record };
        if !same && mode == Ensure::Verify {
            return mismatch(
                describe(&spec.keep, spec.max_record),
                describe(&settings.keep, settings.max_record),
            );
        }
        Ok(lacking.is_some() || !same)
    }

    fn create(&mut self, specs: &[ChannelSpec]) -> Result<(), EngineError> {
        let core = self.core.clone();
        let mut installs = Vec::new();
        let mut added = Base::default();
        let change = self.transact(|transaction| {
            for spec in specs {
                match core.catalog.get(&spec.name) {
                    None => installs.push(Install::Channel(create_channel(transaction, spec, &mut added)?)),
                    Some(channel) => extend_channel(transaction, &channel, spec, &mut added, &mut installs)?,
                }
            }
            transaction.change.state.catalog = schema::catalog_checksum(transaction.connection)?;
            Ok(())
        })?;
        self.base.ends.extend(added.ends.iter());
        self.base.settled.extend(added.settled);
        let lanes: Vec<_> = added.ends.keys().map(|lane| (*lane, 0)).collect();
        self.confirm_alone(change, &lanes)?;
        for install in installs {
            match install {
                Install::Channel(channel) => core.catalog.insert(channel),
                Install::Group(channel, group) => channel.add_group(group),
                Install::Settings(channel, settings) => {
                    let (keep, max_record) = (&settings.keep, settings.max_record);
                    tracing::info!(channel = %channel.name, ?keep, max_record, "channel settings changed");
                    channel.set_settings(settings);
                }
            }
        }
        Ok(())
    }

    /// Makes a change durable and waits for it; new lanes get their place in the side file before.
    fn confirm_alone(&mut self, change: Change, lanes: &[(i64, i64)]) -> Result<(), EngineError> {
        self.confirmer.add_lanes(lanes);
        self.pass_on(change, Vec::new());
        self.drain();
        self.core.stopped().map_or(Ok(()), Err)
    }

    fn remove(&mut self, name: &ChannelName, force: bool) -> Result<(), TopologyError> {
        let channel = self.core.catalog.get(name).ok_or_else(|| TopologyError::Missing(name.clone()))?;
        let records = unsettled(&channel);
        if records > 0 && !force {
            return Err(TopologyError::NotEmpty { channel: name.clone(), records });
        }
        self.drop_channel(&channel).map_err(unavailable)?;
        self.core.catalog.remove(name);
        channel.set_removed();
        for group in channel.groups() {
            group.end_all();
        }
        Ok(())
    }

    fn drop_channel(&mut self, channel: &Channel) -> Result<(), EngineError> {
        let change = self.transact(|transaction| {
            drop_rows(transaction, channel)?;
            transaction.change.state.catalog = schema::catalog_checksum(transaction.connection)?;
            Ok(())
        })?;
        for lane in &channel.lanes {
            self.base.ends.remove(&lane.id);
        }
        let groups: Vec<i64> = channel.groups().iter().map(|group| group.id).collect();
        self.base.settled.retain(|(group, _), _| !groups.contains(group));
        self.next_due = self.find_next_due()?;
        self.confirm_alone(change, &[])
    }
}

fn unsettled(channel: &Channel) -> u64 {
    let groups = channel.groups();
    let of_lane = |lane: &Arc<Lane>| {
        let unsettled = groups.iter().map(|group| group.unsettled(lane.partition).0).max();
        unsettled.unwrap_or(0) + lane.delayed().0
    };
    channel.lanes.iter().map(of_lane).sum()
}

fn create_channel(
    transaction: &mut Transaction<'_>,
    spec: &ChannelSpec,
    added: &mut Base,
) -> Result<Arc<Channel>, EngineError> {
    let id = take(&mut transaction.change.state.next_id);
    let (age, bytes) = keep_columns(&spec.keep);
    transaction.connection.execute(
        "INSERT INTO channels VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![id, spec.name.as_str(), spec.partitions, age, bytes, max_record_column(spec.max_record)],
    )?;
    let mut lanes = Vec::new();
    for partition in 0..spec.partitions {
        let lane = take(&mut transaction.change.state.next_lane);
        let ends = Ends::new();
        transaction.connection.execute_batch(&schema::create_lane_table(spec.name.as_str(), partition))?;
        transaction.connection.execute(
            "INSERT INTO lanes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                lane,
                id,
                partition,
                ends.first,
                ends.next,
                ends.bytes,
                ends.checksum(lane, id, partition)
            ],
        )?;
        added.ends.insert(lane, ends);
        let ends = (ends.first, ends.next);
        lanes.push(Arc::new(Lane::new(lane, spec.name.clone(), partition, ends, Ranges::default())));
    }
    let settled = vec![Settled::default(); lanes.len()];
    let groups = spec
        .groups
        .iter()
        .map(|group| create_group(transaction, (id, &spec.name), group, &lanes, settled.clone(), added))
        .collect::<Result<_, _>>()?;
    let settings = Settings { keep: spec.keep.clone(), max_record: spec.max_record };
    Ok(Arc::new(Channel::new(id, spec.name.clone(), settings, lanes, groups)))
}

/// Adds the groups that are missing; they begin at the oldest record kept. Takes over other settings.
fn extend_channel(
    transaction: &mut Transaction<'_>,
    channel: &Arc<Channel>,
    spec: &ChannelSpec,
    added: &mut Base,
    installs: &mut Vec<Install>,
) -> Result<(), EngineError> {
    for name in spec.groups.iter().filter(|name| channel.group(name).is_none()) {
        let settled = channel.lanes.iter().map(|lane| {
            let first = transaction.look_ends(channel, lane.partition).map_or(1, |ends| ends.first);
            let mut settled = Settled::up_to(first - 1);
            lane.gaps.iter().for_each(|(first, last)| settled.insert_range(first, last));
            settled
        });
        let settled: Vec<_> = settled.collect();
        let of = (channel.id, &channel.name);
        let group = create_group(transaction, of, name, &channel.lanes, settled, added)?;
        installs.push(Install::Group(channel.clone(), group));
    }
    let settings = Settings { keep: spec.keep.clone(), max_record: spec.max_record };
    if settings != channel.settings() {
        let (age, bytes) = keep_columns(&settings.keep);
        transaction.connection.execute(
            "UPDATE channels SET keep_ms = ?2, keep_bytes = ?3, max_record = ?4 WHERE id = ?1",
            params![channel.id, age, bytes, max_record_column(settings.max_record)],
        )?;
        installs.push(Install::Settings(channel.clone(), settings));
    }
    Ok(())
}

fn create_group(
    transaction: &mut Transaction<'_>,
    (channel, channel_name): (i64, &ChannelName),
    name: &GroupName,
    lanes: &[Arc<Lane>],
    settled: Vec<Settled>,
    added: &mut Base,
) -> Result<Arc<Group>, EngineError> {
    let id = take(&mut transaction.change.state.next_id);
    transaction
        .connection
        .execute("INSERT INTO channel_groups VALUES (?1, ?2, ?3)", params![id, channel, name.as_str()])?;
    for (lane, settled) in lanes.iter().zip(&settled) {
        write_cursor(transaction.connection, id, lane.partition, settled)?;
        added.settled.insert((id, lane.partition), settled.clone());
    }
    Ok(Arc::new(Group::new(id, name.clone(), channel_name.clone(), lanes.to_vec(), settled)))
}

fn drop_rows(transaction: &mut Transaction<'_>, channel: &Channel) -> Result<(), EngineError> {
    let connection = transaction.connection;
    for lane in &channel.lanes {
        let table = schema::lane_table(channel.name.as_str(), lane.partition);
        connection.execute_batch(&format!("DROP TABLE \"{table}\""))?;
        connection.execute("DELETE FROM lanes WHERE id = ?1", [lane.id])?;
        connection.execute("DELETE FROM gaps WHERE lane = ?1", [lane.id])?;
        let (count, sum): (i64, i64) = connection.query_row(
            "SELECT count(*), coalesce(sum(crc), 0) FROM delayed WHERE lane = ?1",
            [lane.id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        connection.execute("DELETE FROM delayed WHERE lane = ?1", [lane.id])?;
        transaction.change.state.delayed_count -= count;
        transaction.change.state.delayed_sum = transaction.change.state.delayed_sum.wrapping_sub(sum);
    }
    for group in channel.groups() {
        connection.execute("DELETE FROM channel_groups WHERE id = ?1", [group.id])?;
        for lane in &channel.lanes {
            connection.execute(
                "DELETE FROM cursors WHERE id = ?1",
                [schema::cursor_id(group.id, lane.partition)],
            )?;
        }
    }
    connection.execute("DELETE FROM channels WHERE id = ?1", [channel.id])?;
    Ok(())
}

fn take(next: &mut i64) -> i64 {
    let taken = *next;
    *next += 1;
    taken
}

fn max_record_column(max_record: usize) -> i64 {
    i64::try_from(max_record).unwrap_or(i64::MAX)
}

fn describe(keep: &Keep, max_record: usize) -> String {
    match keep {
        Keep::UntilSettled => format!("records of {max_record} bytes kept until settled"),
        Keep::For { age, bytes: None } => format!("records of {max_record} bytes kept for {age:?}"),
        Keep::For { age, bytes: Some(bytes) } => {
            format!("records of {max_record} bytes kept for {age:?} and up to {bytes} bytes")
        }
    }
}

fn unavailable(error: EngineError) -> TopologyError {
    TopologyError::Unavailable(error.into())
}
