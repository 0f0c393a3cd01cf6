//! Partitions that were paused flow again.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

/// Resumes partitions, at the offsets of the list, or where it has none, where they are.
///
/// librdkafka does not wake its thread for a broker when a partition of it is resumed: with all of them paused, that
/// thread would look again after up to a second only. A seek wakes it, to the very place where the partition is.
pub(crate) fn resume<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    places: &TopicPartitionList,
) -> KafkaResult<()> {
    consumer.resume(places)?;
    let positions = consumer.position()?;
    let positions: HashMap<_, _> = positions
        .elements()
        .into_iter()
        .map(|place| ((place.topic().to_owned(), place.partition()), place.offset()))
        .collect();
    for place in places.elements() {
        let (topic, partition) = (place.topic(), place.partition());
        let position = positions.get(&(topic.to_owned(), partition)).copied();
        let offset =
            if matches!(place.offset(), Offset::Offset(_)) { Some(place.offset()) } else { position };
        if let Some(offset @ Offset::Offset(_)) = offset
            && let Err(error) = consumer.seek(topic, partition, offset, Duration::ZERO)
        {
            // It is resumed all the same, only later.
            tracing::debug!(topic, partition, %error, "waking a partition");
        }
    }
    Ok(())
}
