//! What somebody with Kafka's own tools sees and does.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Kafka's tools, on one group.
pub struct Operator {
    admin: AdminClient<DefaultClientContext>,
    consumer: BaseConsumer,
    group: String,
}

impl Operator {
    /// Looks at `group`.
    pub fn of(address: &str, group: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address);
        let admin = config.create().unwrap();
        config.set("group.id", group).set("enable.auto.commit", "false");
        // Else it is told where the group stands only when no transaction of the group's is open: in a storm for up to 20 s not.
        let consumer = config.set("isolation.level", "read_uncommitted").create().unwrap();
        Self { admin, consumer, group: group.to_owned() }
    }

    /// How many partitions a topic has; 0 when it is not there.
    pub fn partitions(&self, topic: &str) -> usize {
        let metadata = self.consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        metadata.topics()[0].partitions().len()
    }

    /// The offset after the last record of each partition.
    pub fn ends(&self, topic: &str) -> Vec<i64> {
        let ends = (0..self.partitions(topic) as i32)
            .map(|partition| self.consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap().1);
        ends.collect()
    }

    /// Where the group stands in each partition; 0 where it has committed nothing.
    pub fn committed(&self, topic: &str) -> Vec<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, self.partitions(topic) as i32 - 1);
        let committed = self.consumer.committed_offsets(list, PATIENCE).unwrap();
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        committed.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// How many records of a topic wait for the group. Markers of transactions count as records in `ends`, so a group at
    /// the end of such a topic may seem to be a few behind.
    pub fn lag(&self, topic: &str) -> i64 {
        self.ends(topic).iter().zip(self.committed(topic)).map(|(end, at)| end - at).sum()
    }

    /// How many partitions of a topic each member of the group has, by its client's name.
    pub fn shares(&self, topic: &str) -> BTreeMap<String, usize> {
        let groups = self.consumer.fetch_group_list(Some(&self.group), PATIENCE).unwrap();
        let members = groups.groups().iter().flat_map(|group| group.members());
        let shares = members.map(|member| {
            let assigned = member.assignment().and_then(|bytes| assigned(bytes, topic)).unwrap_or(0);
            (format!("{} {}", member.client_id(), member.id()), assigned)
        });
        shares.collect()
    }

    /// Changes a setting of a topic.
    pub async fn alter(&self, topic: &str, setting: &str, value: &str) {
        let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(setting, value);
        self.admin.alter_configs([&change], &options()).await.unwrap().remove(0).unwrap();
    }

    /// Removes a topic.
    pub async fn delete(&self, topic: &str) {
        self.admin.delete_topics(&[topic], &options()).await.unwrap().remove(0).unwrap();
    }

    /// Makes a topic whose records stay; false while an earlier one with that name is still being removed.
    pub async fn create(&self, topic: &str, partitions: i32) -> bool {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1)).set("retention.ms", "-1");
        self.admin.create_topics([&new], &options()).await.unwrap().remove(0).is_ok()
    }

    /// Gives a topic more partitions.
    pub async fn widen(&self, topic: &str, partitions: usize) {
        let wider = NewPartitions::new(topic, partitions);
        self.admin.create_partitions([&wider], &options()).await.unwrap().remove(0).unwrap();
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE))
}

/// Counts a topic's partitions in the consumer protocol's assignment: a version, then topics with their partitions.
fn assigned(bytes: &[u8], wanted: &str) -> Option<usize> {
    let mut rest = bytes.get(2..)?;
    let mut take = |count: usize| -> Option<&[u8]> {
        let (taken, left) = rest.split_at_checked(count)?;
        rest = left;
        Some(taken)
    };
    let topics = i32::from_be_bytes(take(4)?.try_into().ok()?);
    let mut found = 0;
    for _ in 0..topics {
        let length = i16::from_be_bytes(take(2)?.try_into().ok()?);
        let name = take(usize::try_from(length).ok()?)? == wanted.as_bytes();
        let count = usize::try_from(i32::from_be_bytes(take(4)?.try_into().ok()?)).ok()?;
        take(4 * count)?;
        found += if name { count } else { 0 };
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read() {
        let bytes = [
            &[0, 1, 0, 0, 0, 2][..],
            b"\0\x03abc\0\0\0\x02\0\0\0\x00\0\0\0\x03",
            b"\0\x02de\0\0\0\x01\0\0\0\x01",
            &[0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(
            [assigned(&bytes, "abc"), assigned(&bytes, "de"), assigned(&bytes, "f")],
            [Some(2), Some(1), Some(0)]
        );
        assert_eq!(assigned(&bytes[..9], "abc"), None);
    }
}
