//! How far a group is behind: what its queues hold, what waits on its delay levels, and what consumers have in hand, which
//! the broker does not tell, so their processes are asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use futures::future::join_all;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::time::{sleep, timeout};
use trunkline_broker::Lag;

use crate::announcement::InHand;
use crate::catalog::{Channel, Group};
use crate::codec::decode;
use crate::control::Depth;
use crate::core::Core;
use crate::error::RabbitFailure;
use crate::sequence::published;
use crate::topology::{depths, partition_queues};

/// How long another process may take to answer.
const ANSWER: Duration = Duration::from_millis(500);
/// How long the first record of a queue without consumers is waited for.
const PEEK: Duration = Duration::from_secs(1);
/// How often it is counted until nothing moves meanwhile.
const TRIES: usize = 5;
const SETTLE: Duration = Duration::from_millis(20);

/// One count of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    queues: Vec<Depth>,
    delayed: u64,
    in_hand: BTreeMap<u16, InHand>,
}

/// Counts until two counts agree; with records moving all the time, the last one is as good as any. `None` when a queue is
/// missing.
pub(crate) async fn lag(
    core: &Arc<Core>,
    channel: &Channel,
    group: &Group,
) -> Result<Option<Vec<Lag>>, RabbitFailure> {
    let Some(mut counted) = count(core, channel, group).await? else { return Ok(None) };
    for _ in 0..TRIES {
        let Some(again) = count(core, channel, group).await? else { return Ok(None) };
        let same = again == counted;
        counted = again;
        if same {
            break;
        }
        sleep(SETTLE).await;
    }
    let now = SystemTime::now();
    let mut lags = Vec::with_capacity(counted.queues.len());
    for (partition, depth) in (0..channel.partitions).zip(&counted.queues) {
        let in_hand = counted.in_hand.get(&partition).copied().unwrap_or_default();
        // Nothing tells how the delayed ones are spread.
        let delayed = if partition == 0 { counted.delayed } else { 0 };
        let first = match in_hand.first {
            Some(first) => Some(published(first)),
            None if depth.ready > 0 && depth.consumers == 0 => {
                peek(core, core.names.queue(&channel.name, &group.name, partition)).await?
            }
            None => None,
        };
        lags.push(Lag {
            partition,
            records: depth.ready + in_hand.records + delayed,
            oldest: first.map(|first| now.duration_since(first).unwrap_or_default()),
        });
    }
    Ok(Some(lags))
}

async fn count(core: &Arc<Core>, channel: &Channel, group: &Group) -> Result<Option<Count>, RabbitFailure> {
    let queues = partition_queues(&core.names, &channel.name, &group.name, channel.partitions);
    let Some(queues) = depths(&core.control, queues).await? else { return Ok(None) };
    let levels = depths(&core.control, group.known_levels().to_vec()).await?.unwrap_or_default();
    let delayed = levels.iter().map(|depth| depth.ready).sum();

    let held = core.members.held(&group.name, &channel.name);
    let strangers =
        (0..).zip(&queues).any(|(partition, depth)| depth.consumers > 0 && !held.contains(&partition));
    // Somebody consumes who has not announced it yet, or not to this process.
    let asked = core.members.peers(&group.name, &channel.name, strangers);
    let asked = asked.into_iter().map(|queue| core.asking.in_hand(queue, &channel.name, &group.name, ANSWER));
    let mut in_hand = core.members.in_hand(&channel.name, &group.name);
    for answer in join_all(asked).await.into_iter().flatten() {
        for (partition, theirs) in answer {
            let entry: &mut InHand = in_hand.entry(partition).or_default();
            entry.records += theirs.records;
            entry.first = entry.first.into_iter().chain(theirs.first).min();
        }
    }
    Ok(Some(Count { queues, delayed, in_hand }))
}

/// When the first record of a queue that nobody consumes was published. It is taken for a moment; closing the AMQP channel puts
/// it back to its place.
async fn peek(core: &Core, queue: ShortString) -> Result<Option<SystemTime>, RabbitFailure> {
    let amqp = core.control.link.channel(Instant::now() + PEEK).await?;
    amqp.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = amqp.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
    let first = timeout(PEEK, consumer.next()).await;
    amqp.close(200, "looked".into()).await?;
    Ok(match first {
        Ok(Some(Ok(delivery))) => Some(decode(delivery).published),
        _ => None,
    })
}
