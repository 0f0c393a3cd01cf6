//! Exchanges and queues: what a channel is in the broker.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use trunkline_broker::{ChannelName, ChannelSpec, Ensure, GroupName, TopologyError};

use crate::catalog::{Channel, Group};
use crate::codec::{short, text};
use crate::control::{Control, Item, Refusal, quorum};
use crate::core::Core;
use crate::delay::{due_pattern, level_ttl, pattern};
use crate::error::RabbitFailure;
use crate::ledger::{self, Entry, GroupEntry, Ledger};
use crate::names::Names;

/// How often the ledger is looked for while somebody else has it in hand.
const LOOKS: u32 = 20;
const LOOK: Duration = Duration::from_millis(50);

/// Creates or verifies channels.
pub(crate) async fn ensure(core: &Core, specs: &[ChannelSpec], mode: Ensure) -> Result<(), TopologyError> {
    if specs.is_empty() {
        return Ok(());
    }
    let written = read_ledger(core, |_| true).await.map_err(unavailable)?;
    let known = written.clone().unwrap_or_default();
    for spec in specs {
        compare(core, &known, spec).await?;
    }
    match mode {
        Ensure::Verify => {
            for spec in specs {
                verify(core, spec).await?;
            }
        }
        Ensure::Create => create(core, specs, written).await?,
    }
    for spec in specs {
        // Groups that other processes declared get their copies from this one, too.
        known.get(&spec.name).into_iter().for_each(|entry| _ = core.catalog.put(&core.names, entry));
        core.catalog.put(&core.names, &entry(spec));
    }
    Ok(())
}

/// Refuses a channel that exists with another number of partitions.
async fn compare(core: &Core, known: &Ledger, spec: &ChannelSpec) -> Result<(), TopologyError> {
    let mismatch = |found: String| TopologyError::Mismatch {
        channel: spec.name.clone(),
        wanted: format!("{} partitions", spec.partitions),
        found,
    };
    match known.get(&spec.name) {
        Some(entry) if entry.partitions != spec.partitions => {
            Err(mismatch(format!("{} partitions", entry.partitions)))
        }
        Some(_) => Ok(()),
        // Nobody wrote down what it is; a queue beyond the last partition tells.
        None => {
            for group in &spec.groups {
                let beyond = core.names.queue(&spec.name, group, spec.partitions);
                if core.control.depth(&beyond).await.map_err(unavailable)?.is_some() {
                    return Err(mismatch(format!("more than {} partitions", spec.partitions)));
                }
            }
            Ok(())
        }
    }
}

async fn verify(core: &Core, spec: &ChannelSpec) -> Result<(), TopologyError> {
    let missing = || TopologyError::Missing(spec.name.clone());
    if !core.control.has_exchange(&core.names.channel(&spec.name)).await.map_err(unavailable)? {
        return Err(missing());
    }
    for group in &spec.groups {
        if !core.control.has_exchange(&core.names.group(&spec.name, group)).await.map_err(unavailable)? {
            return Err(missing());
        }
        let queues = partition_queues(&core.names, &spec.name, group, spec.partitions);
        match core.control.depths(queues).await {
            Ok(_) => {}
            Err(Refusal::NotFound) => return Err(missing()),
            Err(refusal) => return Err(refused(spec, refusal)),
        }
    }
    Ok(())
}

/// Declares what channels consist of, then writes down what they are.
async fn create(core: &Core, specs: &[ChannelSpec], written: Option<Ledger>) -> Result<(), TopologyError> {
    let shared = shared_items(core, specs);
    core.control.declare(&shared).await.map_err(|refusal| refused(&specs[0], refusal))?;
    for spec in specs {
        core.control
            .declare(&channel_items(&core.names, spec))
            .await
            .map_err(|refusal| refused(spec, refusal))?;
    }
    let mut wanted = written.clone().unwrap_or_default();
    specs.iter().for_each(|spec| wanted.join(entry(spec)));
    if written.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let write = |ledger: &mut Ledger| specs.iter().for_each(|spec| ledger.join(entry(spec)));
    change_ledger(core, written.is_none(), write).await.map_err(unavailable)?;
    core.members.tell_changed();
    Ok(())
}

/// A channel by its name; looked up in the broker when this process does not know it. `None` when there is none.
pub(crate) async fn resolve(core: &Core, name: &ChannelName) -> Result<Option<Arc<Channel>>, RabbitFailure> {
    if let Some(channel) = core.catalog.get(name) {
        return Ok(Some(channel));
    }
    if !core.control.has_exchange(&core.names.channel(name)).await? {
        return Ok(None);
    }
    let ledger = read_ledger(core, |ledger| ledger.get(name).is_some()).await?;
    let entry = ledger.as_ref().and_then(|ledger| ledger.get(name));
    Ok(entry.map(|entry| core.catalog.put(&core.names, entry)))
}

/// Learns what other processes declared and removed meanwhile, for the channels known here.
pub(crate) async fn refresh(core: &Core) -> Result<(), RabbitFailure> {
    if let Some(ledger) = read_ledger(core, |_| true).await? {
        core.catalog.follow(&ledger, &core.names);
    }
    Ok(())
}

/// Deletes a channel with all it holds. What is known of it should be fresh.
pub(crate) async fn remove(core: &Core, channel: &Channel) -> Result<(), TopologyError> {
    let names = &core.names;
    let (mut queues, mut exchanges) = (Vec::new(), vec![channel.exchange.clone()]);
    for group in &channel.groups {
        queues.extend(partition_queues(names, &channel.name, &group.name, channel.partitions));
        exchanges.extend([group.exchange.clone(), names.due(&channel.name, &group.name)]);
        for level in group.known_levels() {
            queues.push(level.clone());
            exchanges.push(level.clone());
        }
    }
    // First what publishers and consumers look for, so that nobody begins to use it any more.
    core.catalog.forget(&channel.name);
    change_ledger(core, false, |ledger| ledger.remove(&channel.name)).await.map_err(unavailable)?;
    core.control.delete(queues, exchanges).await.map_err(unavailable)?;
    core.members.tell_changed();
    Ok(())
}

/// Deletes what is there beside channels.
pub(crate) async fn clear(core: &Core) -> Result<(), TopologyError> {
    let names = &core.names;
    let queues = vec![names.ledger(), names.foreign(), names.refused()];
    core.control.delete(queues, vec![names.foreign(), names.members()]).await.map_err(unavailable)
}

/// Makes sure that a group has this delay level, and all below it.
pub(crate) async fn ensure_level(
    core: &Core,
    channel: &Channel,
    group: &Group,
    level: u8,
) -> Result<(), RabbitFailure> {
    if group.ready_levels.load(Ordering::Relaxed) > level {
        return Ok(());
    }
    match core.control.declare(&level_items(&core.names, channel, group, level)).await {
        Ok(()) => {}
        Err(Refusal::Failed(error)) => return Err(error),
        Err(Refusal::NotFound) => return Err(RabbitFailure::Disconnected),
        Err(Refusal::Differs(found)) => return Err(RabbitFailure::Differs(found.into())),
    }
    let before = group.ready_levels.fetch_max(level + 1, Ordering::Relaxed);
    // Others must know which queues to count and to delete.
    let written = change_ledger(core, false, |ledger| ledger.join(channel.entry())).await;
    if let Err(error) = written {
        group.ready_levels.store(before, Ordering::Relaxed);
        return Err(error);
    }
    core.members.tell_changed();
    Ok(())
}

pub(crate) fn partition_queues(
    names: &Names,
    channel: &ChannelName,
    group: &GroupName,
    partitions: u16,
) -> Vec<ShortString> {
    (0..partitions).map(|partition| names.queue(channel, group, partition)).collect()
}

/// Reads the ledger, again while somebody has it in hand, until it holds what is looked for.
async fn read_ledger(core: &Core, enough: impl Fn(&Ledger) -> bool) -> Result<Option<Ledger>, RabbitFailure> {
    if core.control.depth(&core.names.ledger()).await?.is_none() {
        return Ok(None);
    }
    let mut seen = None;
    for _ in 0..LOOKS {
        let amqp = core.control.fresh().await?;
        seen = ledger::read(&amqp, &core.names).await?.or(seen);
        // Closing gives it back; waiting for that lets the next reader find it.
        amqp.close(200, "read".into()).await?;
        if seen.as_ref().is_some_and(&enough) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(seen)
}

/// Changes the ledger, waiting while somebody has it in hand. When nobody wrote it yet, or whoever has it keeps it, it is begun
/// anew; what there is twice is joined later.
async fn change_ledger(
    core: &Core,
    begin: bool,
    what: impl Fn(&mut Ledger) + Send + Sync,
) -> Result<(), RabbitFailure> {
    for look in 1..=LOOKS {
        let amqp = core.control.fresh().await?;
        let changed = ledger::change(&amqp, &core.names, begin || look == LOOKS, &what).await?;
        amqp.close(200, "changed".into()).await?;
        if changed.is_some() {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

fn entry(spec: &ChannelSpec) -> Entry {
    Entry {
        name: spec.name.clone(),
        partitions: spec.partitions,
        max_record: spec.max_record,
        groups: spec.groups.iter().map(|name| GroupEntry { name: name.clone(), levels: 0 }).collect(),
    }
}

/// What all channels share.
fn shared_items(core: &Core, specs: &[ChannelSpec]) -> Vec<Item> {
    let names = &core.names;
    let mut items =
        vec![Item::Queue(names.ledger(), quorum()), Item::Exchange(names.members(), ExchangeKind::Fanout)];
    if specs.iter().any(|spec| spec.name == ChannelName::events()) {
        let mut arguments = one_consumer();
        arguments.insert(short("x-dead-letter-exchange"), text(""));
        arguments.insert(short("x-dead-letter-routing-key"), text(names.refused().as_str()));
        arguments.insert(short("x-dead-letter-strategy"), text("at-least-once"));
        items.extend([
            Item::Queue(names.refused(), quorum()),
            Item::Exchange(names.foreign(), ExchangeKind::Fanout),
            Item::Queue(names.foreign(), arguments),
            Item::Bind(names.foreign(), names.foreign(), short("")),
        ]);
    }
    items
}

fn channel_items(names: &Names, spec: &ChannelSpec) -> Vec<Item> {
    let channel = &spec.name;
    let mut items = Vec::new();
    for group in &spec.groups {
        let (exchange, due) = (names.group(channel, group), names.due(channel, group));
        items.push(Item::Exchange(exchange.clone(), ExchangeKind::Direct));
        items.push(Item::Exchange(due.clone(), ExchangeKind::Topic));
        for partition in 0..spec.partitions {
            let queue = names.queue(channel, group, partition);
            items.push(Item::Queue(queue.clone(), one_consumer()));
            items.push(Item::Bind(queue.clone(), exchange.clone(), short(partition.to_string())));
            items.push(Item::Bind(queue, due.clone(), short(due_pattern(partition))));
        }
    }
    // Last, since it says that the channel is there.
    items.push(Item::Exchange(names.channel(channel), ExchangeKind::Fanout));
    items
}

fn level_items(names: &Names, channel: &Channel, group: &Group, top: u8) -> Vec<Item> {
    let mut items = Vec::new();
    let mut below = names.due(&channel.name, &group.name);
    for level in 0..=top {
        let name = group.levels[usize::from(level)].clone();
        let mut arguments = quorum();
        arguments.insert(short("x-dead-letter-exchange"), text(below.as_str()));
        arguments.insert(short("x-dead-letter-strategy"), text("at-least-once"));
        let ttl = i64::try_from(level_ttl(level)).unwrap_or(i64::MAX);
        arguments.insert(short("x-message-ttl"), AMQPValue::LongLongInt(ttl));
        items.extend([
            Item::Exchange(name.clone(), ExchangeKind::Topic),
            Item::Queue(name.clone(), arguments),
            Item::Bind(name.clone(), name.clone(), short(pattern(level, true))),
            Item::BindExchange(below, name.clone(), short(pattern(level, false))),
        ]);
        below = name;
    }
    items
}

/// A quorum queue whose records go to one consumer at a time.
fn one_consumer() -> FieldTable {
    let mut arguments = quorum();
    arguments.insert(short("x-single-active-consumer"), AMQPValue::Boolean(true));
    arguments
}

fn refused(spec: &ChannelSpec, refusal: Refusal) -> TopologyError {
    match refusal {
        Refusal::Differs(found) => TopologyError::Mismatch {
            channel: spec.name.clone(),
            wanted: "durable quorum queues with a single active consumer, as this engine declares them"
                .to_owned(),
            found,
        },
        Refusal::NotFound => TopologyError::Missing(spec.name.clone()),
        Refusal::Failed(error) => unavailable(error),
    }
}

pub(crate) fn unavailable(error: RabbitFailure) -> TopologyError {
    TopologyError::Unavailable(error.into())
}

/// What [`Control`] is asked for a group's queues when all of them must be there.
pub(crate) async fn depths(
    control: &Control,
    queues: Vec<ShortString>,
) -> Result<Option<Vec<crate::control::Depth>>, RabbitFailure> {
    match control.depths(queues).await {
        Ok(depths) => Ok(Some(depths)),
        Err(Refusal::Failed(error)) => Err(error),
        Err(Refusal::NotFound | Refusal::Differs(_)) => Ok(None),
    }
}
