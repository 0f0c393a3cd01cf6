//! Creating, judging and removing channels.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::ConfigResource;
use trunkline_broker::{ChannelName, ChannelSpec, Ensure, GroupName, Keep, TopologyError};

use crate::catalog::Channel;
use crate::core::{Core, now};
use crate::error::KafkaFailure;
use crate::lag::lag;
use crate::names;
use crate::properties::OVERHEAD;
use crate::register::blocking;

/// librdkafka sends batches of about this many bytes; a topic must take them.
const BATCH: usize = 1_048_588;

/// How long a topic that was deleted may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of a segment. Records are deleted behind the commit, but disk is given back by whole segments.
const SEGMENT: &str = "67108864";

/// The largest batch that a channel's topic must take.
pub(crate) fn max_batch(max_record: usize) -> usize {
    (max_record + OVERHEAD).max(BATCH)
}

/// Creates what is missing, or says what is not as asked.
pub(crate) async fn ensure(
    core: &Arc<Core>,
    specs: &[ChannelSpec],
    mode: Ensure,
) -> Result<(), TopologyError> {
    if specs.is_empty() {
        return Ok(());
    }
    for spec in specs {
        check(core, spec)?;
    }
    if mode == Ensure::Create {
        core.register.create().await.map_err(unavailable)?;
    }
    core.register.refresh().await.map_err(unavailable)?;
    let asker = core.asker.clone();
    let topics = blocking(move || asker.topics()).await.map_err(unavailable)?;
    judge_topics(core, specs, &topics).await?;
    let mut entries = Vec::new();
    let mut missing = Vec::new();
    for spec in specs {
        let there = topics.contains_key(&names::topic(&core.options.prefix, &spec.name));
        if !there {
            missing.push(spec);
        }
        entries.extend(judge(core, spec, there, mode)?);
    }
    create(core, &missing).await.map_err(unavailable)?;
    if entries.is_empty() { Ok(()) } else { core.register.write(entries).await.map_err(unavailable) }
}

/// What can't be, whatever exists.
fn check(core: &Core, spec: &ChannelSpec) -> Result<(), TopologyError> {
    let limit = core.options.max_record;
    if spec.max_record > limit {
        return Err(mismatch(
            spec,
            format!("records of {} bytes", spec.max_record),
            format!("a limit of {limit}"),
        ));
    }
    if spec.partitions == 0 {
        return Err(mismatch(spec, "0 partitions".to_owned(), "at least 1".to_owned()));
    }
    Ok(())
}

/// Compares a declaration with the catalog. Returns the entry to write, if one is needed.
fn judge(
    core: &Core,
    spec: &ChannelSpec,
    there: bool,
    mode: Ensure,
) -> Result<Option<Channel>, TopologyError> {
    let known = core.register.catalog.get(&spec.name).filter(|_| there);
    let Some(known) = known else {
        if mode == Ensure::Verify {
            return Err(TopologyError::Missing(spec.name.clone()));
        }
        // A topic that is new, or was made by hand; what was committed in a life before does not count.
        let incarnation = format!("{:x}", now());
        return Ok(Some(Channel::declared(&core.options.prefix, spec, incarnation)));
    };
    let lacking: Vec<_> = spec.groups.iter().filter(|group| !known.groups.contains(group)).cloned().collect();
    let same = known.keep == spec.keep && known.max_record == spec.max_record;
    if mode == Ensure::Verify {
        if let Some(group) = lacking.first() {
            return Err(mismatch(spec, format!("group `{group}`"), "no such group".to_owned()));
        }
        if !same {
            let (wanted, found) =
                (describe(&spec.keep, spec.max_record), describe(&known.keep, known.max_record));
            return Err(mismatch(spec, wanted, found));
        }
        return Ok(None);
    }
    if same && lacking.is_empty() {
        return Ok(None);
    }
    let mut changed = Channel::clone(&known);
    changed.groups.extend(lacking);
    changed.keep = spec.keep.clone();
    changed.max_record = spec.max_record;
    tracing::info!(channel = %spec.name, groups = ?changed.groups, keep = ?changed.keep, max_record = changed.max_record, "channel settings changed");
    Ok(Some(changed))
}

/// Compares the topics that exist with what the declarations stand on.
async fn judge_topics(
    core: &Core,
    specs: &[ChannelSpec],
    topics: &HashMap<String, usize>,
) -> Result<(), TopologyError> {
    let prefix = &core.options.prefix;
    let existing: Vec<_> = specs
        .iter()
        .map(|spec| (spec, names::topic(prefix, &spec.name)))
        .filter(|(_, topic)| topics.contains_key(topic))
        .collect();
    if existing.is_empty() {
        return Ok(());
    }
    let asked: Vec<&str> = existing.iter().map(|(_, topic)| topic.as_str()).collect();
    let settings = core.asker.settings(&asked).await.map_err(unavailable)?;
    for ((spec, topic), settings) in existing.iter().zip(&settings) {
        let found = topics.get(topic).copied().unwrap_or(0);
        if found != usize::from(spec.partitions) {
            let text = |count: usize| format!("{count} partition{}", if count == 1 { "" } else { "s" });
            let wanted = text(usize::from(spec.partitions));
            return Err(mismatch(spec, wanted, text(found)));
        }
        judge_settings(spec, settings)?;
    }
    Ok(())
}

fn judge_settings(spec: &ChannelSpec, settings: &ConfigResource) -> Result<(), TopologyError> {
    let value = |name: &str| settings.get(name).and_then(|entry| entry.value.as_deref()).unwrap_or_default();
    for (name, wanted) in [("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")] {
        let found = value(name);
        if found != wanted {
            return Err(mismatch(spec, format!("{name}={wanted}"), format!("{name}={found}")));
        }
    }
    let (wanted, found) = (max_batch(spec.max_record), value("max.message.bytes"));
    if found.parse::<usize>().is_ok_and(|found| found < wanted) {
        return Err(mismatch(
            spec,
            format!("max.message.bytes={wanted} or more"),
            format!("max.message.bytes={found}"),
        ));
    }
    Ok(())
}

async fn create(core: &Core, missing: &[&ChannelSpec]) -> Result<(), KafkaFailure> {
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = missing
        .iter()
        .map(|spec| {
            let batch = max_batch(spec.max_record).to_string();
            (names::topic(&core.options.prefix, &spec.name), spec.partitions, batch)
        })
        .collect();
    let topics: Vec<_> = named
        .iter()
        .map(|(topic, partitions, batch)| {
            let settings = topic_settings(batch);
            core.asker.new_topic(topic, *partitions, &settings)
        })
        .collect();
    core.asker.create(&topics).await?;
    drop(topics);
    led(core, named.into_iter().map(|(topic, ..)| topic).collect()).await
}

/// Waits until topics can be used.
async fn led(core: &Core, topics: Vec<String>) -> Result<(), KafkaFailure> {
    let asker = core.asker.clone();
    blocking(move || asker.await_leaders(&topics)).await
}

/// What every topic with records is created with: the engine deletes, the brokers never do.
fn topic_settings(max_batch: &str) -> [(&'static str, &str); 6] {
    [
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
        ("max.message.bytes", max_batch),
        ("message.timestamp.type", "LogAppendTime"),
        ("segment.bytes", SEGMENT),
    ]
}

/// Creates a channel's delay topic and says so in the catalog.
pub(crate) async fn create_delay_topic(core: &Core, channel: &Channel) -> Result<(), KafkaFailure> {
    let batch = max_batch(channel.max_record).to_string();
    let settings = topic_settings(&batch);
    let topic = core.asker.new_topic(&channel.delay_topic, u16::from(crate::delay::STEPS), &settings);
    core.asker.create(&[topic]).await?;
    led(core, vec![channel.delay_topic.to_string()]).await?;
    core.register.write(vec![Channel { delayed: true, ..channel.clone() }]).await
}

/// Removes a channel, its delayed records too.
pub(crate) async fn remove(core: &Arc<Core>, name: &ChannelName, force: bool) -> Result<(), TopologyError> {
    core.register.refresh().await.map_err(unavailable)?;
    let Some(channel) = core.register.catalog.get(name) else {
        return Err(TopologyError::Missing(name.clone()));
    };
    if !force {
        let mut most = 0;
        for group in &channel.groups {
            let partitions = lag(core, &channel, group).await.map_err(unavailable)?;
            most = most.max(trunkline_broker::Lag::total(&partitions).0);
        }
        if most > 0 {
            return Err(TopologyError::NotEmpty { channel: name.clone(), records: most });
        }
    }
    // Out of the catalog first: nobody begins to use it any more, and a second try finds it in the topics alone.
    core.register.erase(name).await.map_err(unavailable)?;
    let mut topics = vec![&*channel.topic];
    if channel.delayed {
        topics.push(&channel.delay_topic);
    }
    core.asker.delete(&topics).await.map_err(unavailable)?;
    for topic in topics {
        gone(core, topic).await.map_err(unavailable)?;
    }
    Ok(())
}

/// Deletes what is there beside channels: the catalog and the groups.
pub(crate) async fn clear(core: &Core) -> Result<(), TopologyError> {
    let prefix = &core.options.prefix;
    let services = [GroupName::router(), GroupName::dispatcher(), GroupName::console()];
    let mut groups: Vec<String> = services.iter().map(|group| names::group(prefix, group)).collect();
    groups.extend([names::mover_group(prefix), names::looker_group(prefix)]);
    core.asker.delete_groups(&groups).await.map_err(unavailable)?;
    core.asker.delete(&[&names::catalog_topic(prefix)]).await.map_err(unavailable)
}

/// Waits until a deleted topic can be created again.
async fn gone(core: &Core, topic: &str) -> Result<(), KafkaFailure> {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let (asker, name) = (core.asker.clone(), topic.to_owned());
        if blocking(move || asker.partitions(&name)).await?.is_none() {
            return Ok(());
        }
        if deadline <= Instant::now() {
            return Err(KafkaFailure::Overdue("delete a topic"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn describe(keep: &Keep, max_record: usize) -> String {
    match keep {
        Keep::UntilSettled => format!("records of {max_record} bytes kept until settled"),
        Keep::For { age, bytes: None } => format!("records of {max_record} bytes kept for {age:?}"),
        Keep::For { age, bytes: Some(bytes) } => {
            format!("records of {max_record} bytes kept for {age:?} or {bytes} bytes")
        }
    }
}

fn mismatch(spec: &ChannelSpec, wanted: String, found: String) -> TopologyError {
    TopologyError::Mismatch { channel: spec.name.clone(), wanted, found }
}

fn unavailable(failure: KafkaFailure) -> TopologyError {
    TopologyError::Unavailable(failure.into())
}
