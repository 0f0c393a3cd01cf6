//! Carries delayed records on when their step of time is over.
//!
//! Every process that consumes runs one; together they are one group, which shares the partitions of all delay topics.
//! The first record of a partition is the first that is due, so a mover only ever waits for the first ones; while it
//! waits it goes on polling. A record is committed after it was confirmed in its next place: a crash may carry it twice,
//! never not at all.

mod waiting;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::watch;
use trunkline_broker::PublishFailure;

use crate::asker::lock;
use crate::catalog::Channel;
use crate::context::Common;
use crate::core::{Core, now};
use crate::error::KafkaFailure;
use crate::names;
use crate::options::Options;
use crate::prepare::unavailable;
use crate::properties;
use crate::publisher::{Publisher, Ready};
use crate::raw::Blocks;
use crate::rebalance::{GroupNews, Joining, News, TopicPartition, abandon, take_nothing};
use crate::register::Register;
use crate::resume::resume;
use crate::topology::create_delay_topic;

use waiting::{Carried, Waiting};

/// How long to poll when nothing is due before.
const IDLE_POLL: Duration = Duration::from_millis(50);
/// Records carried at once.
const BATCH: usize = 1000;
/// How long to leave the cluster alone after it took nothing.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a publisher waits until its process's mover knows a channel's first delayed record.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// How long a process's first consumer waits until the mover has its share; longer, because there records may be due.
const SHARE_WITHIN: Duration = Duration::from_secs(5);

/// A process's mover, as the others see it.
#[derive(Debug)]
pub(crate) struct Mover {
    stopped: AtomicBool,
    abandoned: AtomicBool,
    /// Delay topics of which it has partitions.
    topics: watch::Sender<HashSet<String>>,
    /// The offset before which it has carried everything, for each partition it has.
    pub(crate) carried: std::sync::Mutex<HashMap<TopicPartition, i64>>,
}

impl Mover {
    /// Starts this process's mover if it does not run yet, and waits a little until it has its share.
    pub(crate) async fn start(core: &Core) -> Result<(), KafkaFailure> {
        let Some(mover) = Self::begin(core)? else { return Ok(()) };
        if core.register.catalog.all().iter().any(|channel| channel.delayed) {
            mover.wait_for(SHARE_WITHIN, |topics| !topics.is_empty()).await;
        }
        Ok(())
    }

    fn begin(core: &Core) -> Result<Option<Arc<Self>>, KafkaFailure> {
        let mut running = lock(&core.mover);
        if running.is_some() || core.closed.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mover = Arc::new(Self {
            stopped: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            topics: watch::Sender::default(),
            carried: std::sync::Mutex::default(),
        });
        let failure = |cause| core.asker.failure("be joined by a mover of delayed records", cause);
        let carrier = Carrier::new(core, mover.clone()).map_err(failure)?;
        let spawned = std::thread::Builder::new().name("kafka-mover".to_owned()).spawn(move || carrier.run());
        spawned.map_err(|error| failure(KafkaError::ClientCreation(error.to_string())))?;
        *running = Some(mover.clone());
        Ok(Some(mover))
    }

    /// Ends it; `abandon`: without a goodbye.
    pub(crate) fn stop(&self, abandon: bool) {
        self.abandoned.store(abandon, Ordering::Release);
        self.stopped.store(true, Ordering::Release);
    }

    /// How far the partitions of a delay topic are carried that it has.
    pub(crate) fn positions(&self, topic: &str) -> HashMap<u16, i64> {
        let carried = lock(&self.carried);
        let of_topic = carried.iter().filter(|((of, _), _)| of == topic);
        of_topic.filter_map(|((_, partition), at)| Some((u16::try_from(*partition).ok()?, *at))).collect()
    }

    async fn wait_for(&self, most: Duration, condition: impl FnMut(&HashSet<String>) -> bool) {
        let mut topics = self.topics.subscribe();
        // In vain, where other processes have it all; then they are the ones that carry.
        drop(tokio::time::timeout(most, topics.wait_for(condition)).await);
    }
}

/// Creates a channel's delay topic for its first delayed record. The mover here, if there is one, knows it then.
pub(crate) async fn begin_delaying(
    core: &Arc<Core>,
    channel: &Channel,
) -> Result<Arc<Channel>, PublishFailure> {
    let one_at_a_time = core.delaying.lock().await;
    let gone = || PublishFailure::Unroutable(channel.name.clone());
    let known = core.register.catalog.get(&channel.name).ok_or_else(gone)?;
    if known.delayed {
        return Ok(known);
    }
    create_delay_topic(core, &known).await.map_err(unavailable)?;
    drop(one_at_a_time);
    let mover = lock(&core.mover).clone();
    if let Some(mover) = mover {
        mover.wait_for(KNOWN_WITHIN, |topics| topics.contains(&*known.delay_topic)).await;
    }
    core.register.catalog.get(&channel.name).ok_or_else(gone)
}

/// The mover's thread.
struct Carrier {
    options: Arc<Options>,
    mover: Arc<Mover>,
    register: Arc<Register>,
    publisher: Arc<Publisher>,
    runtime: Handle,
    consumer: BaseConsumer<Joining>,
    changed: watch::Receiver<()>,
    /// By delay topic.
    channels: HashMap<String, Arc<Channel>>,
    waiting: HashMap<TopicPartition, Waiting>,
    /// Given up while they were paused, which librdkafka remembers.
    asleep: HashSet<TopicPartition>,
    assigning: Option<Vec<TopicPartition>>,
    blocks: Blocks,
    pause_until: Instant,
}

impl Carrier {
    fn new(core: &Core, mover: Arc<Mover>) -> KafkaResult<Self> {
        let group = names::mover_group(&core.options.prefix);
        let mut config = properties::consumer(&core.options, &group);
        config.set("queued.max.messages.kbytes", "4096");
        let common: Common = core.common.clone();
        let mut changed = core.register.changed.subscribe();
        changed.mark_changed();
        Ok(Self {
            options: core.options.clone(),
            mover,
            register: core.register.clone(),
            publisher: core.publisher.clone(),
            runtime: Handle::current(),
            consumer: BaseConsumer::from_config_and_context(&config, common.with(News::default()))?,
            changed,
            channels: HashMap::new(),
            waiting: HashMap::new(),
            asleep: HashSet::new(),
            assigning: None,
            blocks: Blocks::default(),
            pause_until: Instant::now(),
        })
    }

    fn run(mut self) {
        while !self.mover.stopped.load(Ordering::Acquire) {
            if self.changed.has_changed().unwrap_or(false) {
                self.changed.mark_unchanged();
                self.subscribe();
            }
            self.hear();
            self.take_share();
            self.fetch();
            self.carry();
        }
        self.hear();
        self.consumer.context().own.close();
        if self.assigning.take().is_some() {
            // It is being closed whether it is answered or not.
            drop(take_nothing(&self.consumer));
        }
        if self.mover.abandoned.load(Ordering::Acquire) {
            abandon(self.consumer, self.options.session_timeout);
        }
        // Else the consumer leaves the group as it is dropped.
    }

    fn subscribe(&mut self) {
        let delayed = self.register.catalog.all().into_iter().filter(|channel| channel.delayed);
        let channels: HashMap<_, _> =
            delayed.map(|channel| (channel.delay_topic.to_string(), channel)).collect();
        let same = channels.len() == self.channels.len()
            && channels.keys().all(|topic| self.channels.contains_key(topic));
        self.channels = channels;
        if same {
            return;
        }
        let topics: Vec<&str> = self.channels.keys().map(String::as_str).collect();
        if topics.is_empty() {
            self.consumer.unsubscribe();
        } else if let Err(error) = self.consumer.subscribe(&topics) {
            tracing::error!(%error, "delayed records can't be subscribed to");
        }
    }

    fn hear(&mut self) {
        while let Some(news) = self.consumer.context().own.next() {
            match news {
                GroupNews::Assigned(places) => self.assigning = Some(places),
                GroupNews::Revoked { places, .. } => {
                    // All that was carried is committed; the rest is the next one's.
                    places.iter().for_each(|place| {
                        if self.waiting.remove(place).is_some_and(|waiting| waiting.paused) {
                            self.asleep.insert(place.clone());
                        }
                        lock(&self.mover.carried).remove(place);
                    });
                    if let Err(error) = self.consumer.incremental_unassign(&list(places.iter())) {
                        tracing::debug!(%error, "giving delayed records up");
                    }
                    self.tell_topics();
                }
                GroupNews::Committed(_) => {}
            }
        }
    }

    fn tell_topics(&self) {
        self.mover.topics.send_replace(self.waiting.keys().map(|(topic, _)| topic.clone()).collect());
    }

    fn take_share(&mut self) {
        let Some(places) = self.assigning.take() else { return };
        let taken = self.begins(&places).and_then(|begins| {
            self.consumer.incremental_assign(&begins)?;
            Ok(begins)
        });
        match taken {
            Ok(begins) => {
                self.note(&begins);
                let asleep: Vec<_> = places.iter().filter(|place| self.asleep.remove(*place)).collect();
                if !asleep.is_empty()
                    && let Err(error) = resume(&self.consumer, &list(asleep.into_iter()))
                {
                    tracing::debug!(%error, "resuming delayed records");
                }
                self.waiting.extend(places.into_iter().map(|place| (place, Waiting::default())));
                self.tell_topics();
            }
            Err(error) => {
                tracing::debug!(%error, "asking for the movers' place; it is asked again");
                self.assigning = Some(places);
            }
        }
    }

    fn begins(&self, places: &[TopicPartition]) -> KafkaResult<TopicPartitionList> {
        let mut begins = TopicPartitionList::with_capacity(places.len());
        if places.is_empty() {
            return Ok(begins);
        }
        let timeout = self.options.request_timeout;
        for element in self.consumer.committed_offsets(list(places.iter()), timeout)?.elements() {
            element.error()?;
            let (topic, partition) = (element.topic(), element.partition());
            let life = self.channels.get(topic).map_or("", |channel| channel.incarnation.as_str());
            let offset = match element.offset() {
                Offset::Offset(offset) if element.metadata() == life => offset,
                _ => self.consumer.fetch_watermarks(topic, partition, timeout)?.0,
            };
            begins.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        }
        Ok(begins)
    }

    fn fetch(&mut self) {
        let now = now();
        let due = self.waiting.values().filter_map(Waiting::due).min();
        let mut timeout =
            due.map_or(IDLE_POLL, |due| Duration::from_millis(due.saturating_sub(now)).min(IDLE_POLL));
        if self.pause_until > Instant::now() || self.assigning.is_some() {
            timeout = timeout.max(Duration::from_millis(5));
        }
        for _ in 0..BATCH {
            match self.consumer.poll(timeout) {
                Some(Ok(message)) => {
                    let place = (message.topic().to_owned(), message.partition());
                    if let Some(waiting) = self.waiting.get_mut(&place) {
                        waiting.push(message.offset(), self.blocks.copy(&message));
                    }
                }
                Some(Err(error)) => tracing::debug!(%error, "fetching delayed records"),
                None => break,
            }
            timeout = Duration::ZERO;
        }
        self.restrain();
    }

    /// Pauses partitions that have enough fetched, and lets those flow again that have not.
    fn restrain(&mut self) {
        let full: Vec<_> =
            self.waiting.iter().filter(|(_, w)| w.is_full() && !w.paused).map(|(p, _)| p.clone()).collect();
        let low: Vec<_> =
            self.waiting.iter().filter(|(_, w)| w.is_low() && w.paused).map(|(p, _)| p.clone()).collect();
        for (places, paused) in [(full, true), (low, false)] {
            if places.is_empty() {
                continue;
            }
            let these = list(places.iter());
            let done = if paused { self.consumer.pause(&these) } else { resume(&self.consumer, &these) };
            if done.is_ok() {
                places
                    .iter()
                    .filter_map(|place| self.waiting.get_mut(place).map(|w| w.paused = paused))
                    .count();
            }
        }
    }

    /// Carries what is due to its next place, and commits that.
    fn carry(&mut self) {
        if self.pause_until > Instant::now() {
            return;
        }
        let now = now();
        let (mut batch, mut carried): (Vec<Ready>, Vec<Carried>) = (Vec::new(), Vec::new());
        for (place, waiting) in &self.waiting {
            let Some(channel) = self.channels.get(&place.0) else { continue };
            let due = waiting.carry(channel, now, BATCH.saturating_sub(batch.len()), &mut batch);
            carried.extend(due.map(|count| Carried { place: place.clone(), count }));
        }
        if batch.is_empty() {
            return;
        }
        let failures = self.runtime.block_on(self.publisher.publish(&batch));
        if let Some((_, code)) = failures.first() {
            if !self.mover.stopped.load(Ordering::Acquire) {
                tracing::warn!(error = %code, records = failures.len(), "delayed records could not be carried on; they are tried again");
            }
            self.pause_until = Instant::now() + PAUSE;
        }
        let mut commits = TopicPartitionList::new();
        let mut first = 0;
        for Carried { place, count } in carried {
            let failed = failures
                .iter()
                .map(|(index, _)| *index)
                .filter(|index| (first..first + count).contains(index));
            let stored = failed.min().map_or(count, |index| index - first);
            first += count;
            let Some(waiting) = self.waiting.get_mut(&place) else { continue };
            if let Some(position) = waiting.pop(stored) {
                let mut element = commits.add_partition(&place.0, place.1);
                if let Some(channel) = self.channels.get(&place.0) {
                    element.set_metadata(&channel.incarnation);
                }
                // An offset that a message came from can be set.
                drop(element.set_offset(Offset::Offset(position)));
            }
        }
        self.commit(&commits);
    }

    fn note(&self, positions: &TopicPartitionList) {
        let mut carried = lock(&self.mover.carried);
        for element in positions.elements() {
            if let Offset::Offset(offset) = element.offset() {
                carried.insert((element.topic().to_owned(), element.partition()), offset);
            }
        }
    }

    fn commit(&self, commits: &TopicPartitionList) {
        if commits.count() == 0 || self.mover.abandoned.load(Ordering::Acquire) {
            return;
        }
        match self.consumer.commit(commits, CommitMode::Sync) {
            Ok(()) => self.note(commits),
            // Some may be carried twice, or the next commit covers it.
            Err(error) => tracing::debug!(%error, "committing carried records"),
        }
    }
}

fn list<'a>(places: impl Iterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    list
}
