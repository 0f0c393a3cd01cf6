//! Questions to the cluster: what topics there are, where they begin and end, what groups have committed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::util::Timeout;
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::Cluster;
use crate::context::Common;
use crate::error::KafkaFailure;
use crate::names;
use crate::options::Options;
use crate::properties;
use crate::token::Handed;

/// How long to wait before asking again.
const AGAIN: Duration = Duration::from_millis(50);

/// A client for each group that is asked about, and one that changes topics. All but the administration blocks.
pub(crate) struct Asker {
    options: Arc<Options>,
    common: Common,
    clients: Mutex<HashMap<String, Arc<Looker>>>,
    admin: Option<AdminClient<Common>>,
    admin_token: Handed,
}

/// A client that is asked and never polled.
struct Looker {
    consumer: BaseConsumer<Common>,
    token: Handed,
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

impl Asker {
    pub(crate) fn new(options: Arc<Options>, common: Common) -> KafkaResult<Self> {
        let admin = AdminClient::from_config_and_context(&properties::admin(&options), common.clone())?;
        let (clients, admin_token) = (Mutex::default(), Handed::default());
        Ok(Self { options, common, clients, admin: Some(admin), admin_token })
    }

    /// Wraps librdkafka's answer with what was asked of whom.
    pub(crate) fn failure(&self, action: impl Into<String>, cause: KafkaError) -> KafkaFailure {
        KafkaFailure::Refused { bootstrap: self.options.bootstrap.clone(), action: action.into(), cause }
    }

    /// How many partitions each topic has.
    pub(crate) fn topics(&self) -> Result<HashMap<String, usize>, KafkaFailure> {
        let looker = self.looker()?;
        let metadata =
            self.ask("list its topics", || looker.consumer.fetch_metadata(None, self.timeout()))?;
        let count =
            |topic: &rdkafka::metadata::MetadataTopic| (topic.name().to_owned(), topic.partitions().len());
        Ok(metadata.topics().iter().map(count).collect())
    }

    /// The brokers, and every topic with its partitions.
    pub(crate) fn cluster(&self) -> Result<Cluster, KafkaFailure> {
        let looker = self.looker()?;
        let metadata =
            self.ask("describe itself", || looker.consumer.fetch_metadata(None, self.timeout()))?;
        Ok(Cluster::of(&metadata))
    }

    /// The names of the clients that are in a group now.
    pub(crate) fn members(&self, group: &str) -> Result<Vec<String>, KafkaFailure> {
        let looker = self.looker()?;
        let found = self.ask(&format!("say who is in group `{group}`"), || {
            looker.consumer.fetch_group_list(Some(group), self.timeout())
        })?;
        let members = found.groups().iter().flat_map(|group| group.members());
        Ok(members.map(|member| member.client_id().to_owned()).collect())
    }

    /// How many partitions a topic has; `None`: it is not there.
    pub(crate) fn partitions(&self, topic: &str) -> Result<Option<usize>, KafkaFailure> {
        let looker = self.looker()?;
        self.ask(&format!("describe topic `{topic}`"), || {
            let metadata = looker.consumer.fetch_metadata(Some(topic), self.timeout())?;
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            match found.and_then(|found| found.error()) {
                None => Ok(found.map(|found| found.partitions().len()).filter(|count| *count > 0)),
                Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
                Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            }
        })
    }

    /// The first offset of each of so many partitions.
    pub(crate) fn begins(&self, topic: &str, partitions: u16) -> Result<Vec<i64>, KafkaFailure> {
        self.offsets(topic, partitions, Offset::Beginning)
    }

    /// The offset after the last one of each of so many partitions.
    pub(crate) fn ends(&self, topic: &str, partitions: u16) -> Result<Vec<i64>, KafkaFailure> {
        self.offsets(topic, partitions, Offset::End)
    }

    /// The first offset stored at or after a time (milliseconds since 1970) in each partition; where there is none, −1.
    pub(crate) fn since(&self, topic: &str, partitions: u16, millis: i64) -> Result<Vec<i64>, KafkaFailure> {
        self.offsets(topic, partitions, Offset::Offset(millis.max(0)))
    }

    fn offsets(&self, topic: &str, partitions: u16, at: Offset) -> Result<Vec<i64>, KafkaFailure> {
        let looker = self.looker()?;
        self.ask(&format!("say the offsets of topic `{topic}`"), || {
            let mut list = TopicPartitionList::new();
            for partition in 0..partitions {
                list.add_partition_offset(topic, i32::from(partition), at)?;
            }
            let found = looker.consumer.offsets_for_times(list, self.timeout())?;
            let mut offsets = vec![-1; usize::from(partitions)];
            for element in found.elements() {
                element.error()?;
                let place =
                    usize::try_from(element.partition()).ok().and_then(|index| offsets.get_mut(index));
                if let (Some(place), Offset::Offset(offset)) = (place, element.offset()) {
                    *place = offset;
                }
            }
            Ok(offsets)
        })
    }

    /// What a group has committed in each of so many partitions, by a consumer that knew this life of the topic.
    pub(crate) fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: u16,
        incarnation: &str,
    ) -> Result<Vec<Option<i64>>, KafkaFailure> {
        let client = self.client(group)?;
        self.ask(&format!("say what group `{group}` has committed"), || {
            let mut list = TopicPartitionList::new();
            list.add_partition_range(topic, 0, i32::from(partitions) - 1);
            let found = client.consumer.committed_offsets(list, self.timeout())?;
            let mut committed = vec![None; usize::from(partitions)];
            for element in found.elements() {
                element.error()?;
                let place =
                    usize::try_from(element.partition()).ok().and_then(|index| committed.get_mut(index));
                if let (Some(place), Offset::Offset(offset)) = (place, element.offset())
                    && element.metadata() == incarnation
                {
                    *place = Some(offset);
                }
            }
            Ok(committed)
        })
    }

    /// Asks until it is answered, as long as the answer may be another one soon. Only topics that the catalog declares are
    /// asked about, so a broker or client that does not know one has yet to hear of it.
    fn ask<T>(&self, action: &str, question: impl Fn() -> KafkaResult<T>) -> Result<T, KafkaFailure> {
        let deadline = Instant::now() + self.options.request_timeout;
        loop {
            match question() {
                Err(error) if is_passing(&error) && Instant::now() < deadline => std::thread::sleep(AGAIN),
                answer => return answer.map_err(|cause| self.failure(action, cause)),
            }
        }
    }

    /// Creates topics; those that exist already are left alone. Brokers know a topic, and its leaders, only some time
    /// after they said that it is created: follow with [`Self::await_leaders`].
    pub(crate) async fn create(&self, topics: &[NewTopic<'_>]) -> Result<(), KafkaFailure> {
        let answers = self.admin()?.create_topics(topics, &self.admin_options()).await;
        self.all_done("create topic", answers, RDKafkaErrorCode::TopicAlreadyExists)
    }

    /// Waits until all partitions of these topics have leaders. Whatever this client believed of a topic of the same
    /// name is forgotten with that.
    pub(crate) fn await_leaders(&self, topics: &[String]) -> Result<(), KafkaFailure> {
        let looker = self.looker()?;
        let led = |topic: &rdkafka::metadata::MetadataTopic| {
            let partitions = topic.partitions();
            let led = partitions.iter().all(|partition| partition.leader() >= 0);
            topic.error().is_none() && !partitions.is_empty() && led
        };
        // One question for all, where there are several.
        let only = topics.first().map(String::as_str).filter(|_| topics.len() == 1);
        self.ask("choose leaders for new topics", || {
            let metadata = looker.consumer.fetch_metadata(only, self.timeout())?;
            let known: HashSet<&str> =
                metadata.topics().iter().filter(|topic| led(topic)).map(|topic| topic.name()).collect();
            if topics.iter().all(|topic| known.contains(topic.as_str())) {
                Ok(())
            } else {
                Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable))
            }
        })
    }

    /// Deletes topics; those that are gone already are no mistake.
    pub(crate) async fn delete(&self, topics: &[&str]) -> Result<(), KafkaFailure> {
        let answers = self.admin()?.delete_topics(topics, &self.admin_options()).await;
        self.all_done("delete topic", answers, RDKafkaErrorCode::UnknownTopicOrPartition)
    }

    /// Deletes groups that nobody is in; those that are not there are none.
    pub(crate) async fn delete_groups(&self, groups: &[String]) -> Result<(), KafkaFailure> {
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let answers = self.admin()?.delete_groups(&names, &self.admin_options()).await;
        self.all_done("delete group", answers, RDKafkaErrorCode::GroupIdNotFound)
    }

    fn all_done(
        &self,
        action: &str,
        answers: KafkaResult<Vec<TopicResult>>,
        harmless: RDKafkaErrorCode,
    ) -> Result<(), KafkaFailure> {
        for answer in answers.map_err(|cause| self.failure(action, cause))? {
            if let Err((topic, code)) = answer
                && code != harmless
            {
                return Err(self.failure(format!("{action} `{topic}`"), KafkaError::AdminOp(code)));
            }
        }
        Ok(())
    }

    /// The settings of topics that exist.
    pub(crate) async fn settings(&self, topics: &[&str]) -> Result<Vec<ConfigResource>, KafkaFailure> {
        let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
        let failure = |cause| self.failure("describe its topics' settings", cause);
        let answers =
            self.admin()?.describe_configs(&resources, &self.admin_options()).await.map_err(failure)?;
        answers
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|code| self.failure("describe a topic's settings", KafkaError::AdminOp(code)))
    }

    /// A setting of a broker; `None` where that version has none of that name.
    pub(crate) async fn broker_setting(
        &self,
        broker: i32,
        name: &str,
    ) -> Result<Option<String>, KafkaFailure> {
        let failure = |cause| self.failure("describe a broker's settings", cause);
        let asked = [ResourceSpecifier::Broker(broker)];
        let mut answers =
            self.admin()?.describe_configs(&asked, &self.admin_options()).await.map_err(failure)?;
        let answer = answers.pop().transpose().map_err(|code| failure(KafkaError::AdminOp(code)))?;
        Ok(answer.as_ref().and_then(|settings| settings.get(name)).and_then(|entry| entry.value.clone()))
    }

    /// Deletes what stands before these offsets.
    pub(crate) async fn delete_records(&self, before: &TopicPartitionList) -> Result<(), KafkaFailure> {
        let failure = |cause| self.failure("delete settled records", cause);
        let done = self.admin()?.delete_records(before, &self.admin_options()).await.map_err(failure)?;
        done.elements().iter().try_for_each(|element| element.error().map_err(failure))
    }

    /// Describes a topic to be created.
    pub(crate) fn new_topic<'a>(
        &self,
        name: &'a str,
        partitions: u16,
        settings: &[(&'a str, &'a str)],
    ) -> NewTopic<'a> {
        let replication = self.options.replication.map_or(-1, i32::from);
        let topic = NewTopic::new(name, i32::from(partitions), TopicReplication::Fixed(replication));
        settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
    }

    fn looker(&self) -> Result<Arc<Looker>, KafkaFailure> {
        self.client(&names::looker_group(&self.options.prefix))
    }

    fn client(&self, group: &str) -> Result<Arc<Looker>, KafkaFailure> {
        let mut clients = lock(&self.clients);
        let client = match clients.get(group) {
            Some(client) => client.clone(),
            None => {
                let config = properties::looker(&self.options, group);
                let made = BaseConsumer::from_config_and_context(&config, self.common.clone());
                let consumer = made.map_err(|cause| self.failure("be looked at", cause))?;
                let client = Arc::new(Looker { consumer, token: Handed::default() });
                clients.insert(group.to_owned(), client.clone());
                client
            }
        };
        client.token.renew(client.consumer.client(), &self.common.token)?;
        Ok(client)
    }

    fn admin(&self) -> Result<&AdminClient<Common>, KafkaFailure> {
        let admin = self.admin.as_ref().ok_or(KafkaFailure::Closed)?;
        self.admin_token.renew(admin.inner(), &self.common.token)?;
        Ok(admin)
    }

    fn timeout(&self) -> Timeout {
        self.options.request_timeout.into()
    }

    fn admin_options(&self) -> AdminOptions {
        let timeout = Some(self.options.request_timeout);
        AdminOptions::new().request_timeout(timeout).operation_timeout(timeout)
    }
}

impl Drop for Asker {
    /// Ending clients waits for their threads; that is done on one of its own.
    fn drop(&mut self) {
        let (admin, clients) = (self.admin.take(), std::mem::take(&mut *lock(&self.clients)));
        // Without a thread they end here.
        drop(
            std::thread::Builder::new()
                .name("kafka-closing".to_owned())
                .spawn(move || drop((admin, clients))),
        );
    }
}

/// Whether the same question may be answered a moment later: leaders and coordinators move, brokers start, topics become
/// known. librdkafka refreshes what it knows of a topic with the first question, and answers it from what it knew before.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        CoordinatorLoadInProgress, CoordinatorNotAvailable, FencedLeaderEpoch, KafkaStorageError,
        LeaderNotAvailable, NotCoordinator, NotLeaderForPartition, ReplicaNotAvailable, UnknownLeaderEpoch,
        UnknownPartition, UnknownTopic, UnknownTopicOrPartition, UnstableOffsetCommit, WaitingForCoordinator,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            CoordinatorLoadInProgress
                | CoordinatorNotAvailable
                | FencedLeaderEpoch
                | KafkaStorageError
                | LeaderNotAvailable
                | NotCoordinator
                | NotLeaderForPartition
                | ReplicaNotAvailable
                | UnknownLeaderEpoch
                | UnknownPartition
                | UnknownTopic
                | UnknownTopicOrPartition
                | UnstableOffsetCommit
                | WaitingForCoordinator
        )
    )
}

/// A mutex whose holder panicked is used all the same: what it guards is whole after every statement.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
