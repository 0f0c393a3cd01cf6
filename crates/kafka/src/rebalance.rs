//! What the group's coordinator says, set aside for the thread that polls.
//!
//! librdkafka waits until it is told that an assignment was taken or given up; so a lease can be drained while the same
//! thread goes on polling everything else.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use crate::asker::lock;
use crate::context::Common;

/// A partition of a topic.
pub(crate) type TopicPartition = (String, i32);

/// What the coordinator, or a commit, came to.
#[derive(Debug)]
pub(crate) enum GroupNews {
    /// These are this consumer's, once it says that it takes them.
    Assigned(Vec<TopicPartition>),
    /// These are to be given up; `lost`: they are others' already.
    Revoked { places: Vec<TopicPartition>, lost: bool },
    /// A commit was answered; if well, these offsets are committed.
    Committed(KafkaResult<Vec<(TopicPartition, i64)>>),
}

/// The context of a consumer that joins a group.
#[derive(Debug)]
pub(crate) struct Joining {
    common: Common,
    news: Mutex<VecDeque<GroupNews>>,
    /// The consumer is being closed: nothing is drained any more.
    closing: AtomicBool,
}

impl Joining {
    pub(crate) fn new(common: Common) -> Self {
        Self { common, news: Mutex::default(), closing: AtomicBool::new(false) }
    }

    pub(crate) fn next(&self) -> Option<GroupNews> {
        lock(&self.news).pop_front()
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn tell(&self, news: GroupNews) {
        lock(&self.news).push_back(news);
    }
}

impl ClientContext for Joining {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.common.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.common.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.common.stats_raw(statistics);
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.common.generate_oauth_token(config)
    }
}

impl ConsumerContext for Joining {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let elements = list.elements();
        let places = elements.iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
        if self.closing.load(Ordering::Acquire) {
            // Whatever was to be committed has been; an assignment that comes now is not taken.
            if what != RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
                && let Err(error) = consumer.incremental_unassign(list)
            {
                tracing::debug!(%error, "giving partitions up");
            }
        } else if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.tell(GroupNews::Assigned(places));
        } else {
            self.tell(GroupNews::Revoked { places, lost: consumer.assignment_lost() });
        }
    }
}
