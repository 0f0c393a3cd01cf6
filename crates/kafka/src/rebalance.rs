//! What the group's coordinator says, set aside for the thread that polls.
//!
//! librdkafka waits until it is told that an assignment was taken or given up; so a lease can be drained while the same
//! thread goes on polling everything else.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::types::RDKafkaRespErr;

use crate::asker::lock;
use crate::context::Context;

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

/// What a consumer's coordinator has said.
#[derive(Debug, Default)]
pub(crate) struct News {
    said: Mutex<VecDeque<GroupNews>>,
    /// The consumer is being closed: nothing is drained any more.
    closing: AtomicBool,
}

/// The context of a consumer that joins a group.
pub(crate) type Joining = Context<News>;

/// Ends a consumer as if its process had been killed: it says nothing any more, and the group misses it when its session
/// ends. librdkafka goes on giving signs of life by itself, so it is kept for that long and then closed.
pub(crate) fn abandon<T: Send + 'static>(consumer: T, session: Duration) {
    let silence = move || {
        std::thread::sleep(session);
        drop(consumer);
    };
    // Without a thread it ends here, and is missed sooner.
    drop(std::thread::Builder::new().name("kafka-abandoned".to_owned()).spawn(silence));
}

impl News {
    pub(crate) fn next(&self) -> Option<GroupNews> {
        lock(&self.said).pop_front()
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    pub(crate) fn tell(&self, news: GroupNews) {
        lock(&self.said).push_back(news);
    }
}

/// Answers an assignment without taking it. librdkafka waits for an answer before it lets a consumer be closed.
pub(crate) fn take_nothing(consumer: &BaseConsumer<Joining>) -> KafkaResult<()> {
    consumer.incremental_assign(&TopicPartitionList::new())
}

impl ConsumerContext for Joining {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let elements = list.elements();
        let places = elements.iter().map(|e| (e.topic().to_owned(), e.partition())).collect();
        if self.own.closing.load(Ordering::Acquire) {
            // Whatever was to be committed has been; an assignment that comes now is answered, and not taken.
            let answered = match what {
                RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => take_nothing(consumer),
                _ => consumer.incremental_unassign(list),
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "giving partitions up");
            }
        } else if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.own.tell(GroupNews::Assigned(places));
        } else {
            self.own.tell(GroupNews::Revoked { places, lost: consumer.assignment_lost() });
        }
    }
}
