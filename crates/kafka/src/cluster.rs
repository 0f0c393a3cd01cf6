//! A cluster as its brokers describe it.

use std::collections::HashMap;

use rdkafka::metadata::Metadata;

/// Brokers and topics at one time.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The brokers' ids.
    pub(crate) brokers: Vec<i32>,
    /// By name.
    pub(crate) topics: HashMap<String, Topic>,
}

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) partitions: Vec<Partition>,
}

/// Where a partition is.
#[derive(Debug)]
pub(crate) struct Partition {
    /// The broker that leads it; negative when none does.
    pub(crate) leader: i32,
    pub(crate) replicas: usize,
    pub(crate) in_sync: usize,
}

impl Cluster {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let topics = metadata.topics().iter().map(|topic| {
            let partitions = topic.partitions().iter().map(|partition| Partition {
                leader: partition.leader(),
                replicas: partition.replicas().len(),
                in_sync: partition.isr().len(),
            });
            (topic.name().to_owned(), Topic { partitions: partitions.collect() })
        });
        Self {
            brokers: metadata.brokers().iter().map(|broker| broker.id()).collect(),
            topics: topics.collect(),
        }
    }
}

impl Topic {
    /// Copies of the partition that has the fewest.
    pub(crate) fn copies(&self) -> usize {
        self.partitions.iter().map(|partition| partition.replicas).min().unwrap_or(0)
    }
}
