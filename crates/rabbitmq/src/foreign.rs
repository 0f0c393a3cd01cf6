//! Events from publishers that know no partitions: other programs' AMQP clients.
//!
//! They publish to exchange `events.in`. Its queue is read by one process at a time, which publishes each record to its
//! partition of `events`. The key is the CloudEvents attribute `partitionkey`, else the routing key, else the message id.
//! Attributes of the AMQP binding of CloudEvents (`cloudEvents:type` or `cloudEvents_type`), and those that its Python SDK makes
//! for RabbitMQ (`ce-type`), become headers `ce_type`, the content type becomes `content-type` and the content encoding
//! `content-encoding`: the names that Kafka's binding has, so that what decodes events knows one form. A record that `events`
//! can't take for its size goes to queue `events.in:refused`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Channel as Amqp, Consumer};
use tokio::time::sleep;
use trunkline_broker::{ChannelName, Headers, Outgoing, PublishFailure};

use crate::codec::{BROKERS_OWN, CONTENT_TYPE, raw};
use crate::core::Core;
use crate::error::RabbitFailure;
use crate::publish::prepare;

const OPENING: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(5);
const BATCH: usize = 500;
const CONTENT_ENCODING: &str = "content-encoding";
/// What the names of headers with attributes begin with.
const ATTRIBUTES: [&str; 3] = ["cloudEvents:", "cloudEvents_", "ce-"];

/// Begins to move foreign records, once per process.
pub(crate) fn start(core: &Arc<Core>) {
    if !core.moving.swap(true, Ordering::SeqCst) {
        core.runtime.spawn(run(core.clone()));
    }
}

async fn run(core: Arc<Core>) {
    while !core.closing.is_cancelled() {
        let moved = async {
            let amqp = core.control.link.channel(Instant::now() + OPENING).await?;
            amqp.basic_qos(u16::try_from(BATCH).unwrap_or(u16::MAX), BasicQosOptions::default()).await?;
            let options = BasicConsumeOptions::default();
            let queue = core.names.foreign();
            let mut consumer = amqp.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
            let moved = move_records(&core, &amqp, &mut consumer).await;
            // Closing gives back, in order, what is not moved yet; see the lease's task.
            amqp.close(200, "moved".into()).await?;
            moved
        };
        tokio::select! {
            moved = moved => if let Err(error) = moved {
                tracing::debug!(%error, "moving foreign records broke off");
            },
            () = core.closing.cancelled() => return,
        }
        sleep(AGAIN).await;
    }
}

async fn move_records(core: &Core, amqp: &Amqp, consumer: &mut Consumer) -> Result<(), RabbitFailure> {
    loop {
        let Some(first) = consumer.next().await else { return Err(RabbitFailure::Disconnected) };
        let mut deliveries = vec![first?];
        while deliveries.len() < BATCH
            && let Some(Some(Ok(delivery))) = consumer.next().now_or_never()
        {
            deliveries.push(delivery);
        }
        let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.delivery_tag).collect();
        let records = deliveries.into_iter().map(outgoing).collect();
        let (prepared, mut failures) = prepare(core, records).await;
        let until = Instant::now() + core.options.publish_patience;
        failures.extend(core.publisher.publish(prepared, until).await);
        let mut refused = Vec::new();
        for failed in failures {
            match failed.failure {
                PublishFailure::TooLarge { size, limit } => {
                    tracing::warn!(
                        size,
                        limit,
                        "a foreign record is too large for the channel; it is kept aside"
                    );
                    refused.push(tags[failed.index]);
                }
                failure => {
                    tracing::warn!(%failure, "foreign records can't be moved now");
                    return Err(RabbitFailure::Disconnected);
                }
            }
        }
        for tag in &refused {
            amqp.basic_reject(*tag, BasicRejectOptions { requeue: false }).await?;
        }
        // Stands for all before it, so it must itself be open still.
        if let Some(last) = tags.iter().rfind(|tag| !refused.contains(tag)) {
            amqp.basic_ack(*last, BasicAckOptions { multiple: true }).await?;
        }
    }
}

/// A foreign message as a record of `events`.
fn outgoing(delivery: Delivery) -> Outgoing {
    let properties = &delivery.properties;
    let mut headers = Headers::new();
    if let Some(content_type) = properties.content_type() {
        headers.push((CONTENT_TYPE.to_owned(), copy(content_type.as_str())));
    }
    if let Some(encoding) = properties.content_encoding() {
        headers.push((CONTENT_ENCODING.to_owned(), copy(encoding.as_str())));
    }
    let own = |name: &str| BROKERS_OWN.contains(&name);
    let table = properties.headers().iter().flat_map(|table| table.inner());
    for (name, value) in table.filter(|(name, _)| !own(name.as_str())) {
        let name = header_name(name.as_str());
        if headers.iter().all(|(other, _)| *other != name) {
            headers.push((name, raw(value)));
        }
    }
    let header =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let given = |text: &str| (!text.is_empty()).then(|| copy(text));
    let key = header("ce_partitionkey")
        .or_else(|| given(delivery.routing_key.as_str()))
        .or_else(|| properties.message_id().as_ref().and_then(|id| given(id.as_str())))
        .unwrap_or_default();
    let value = Bytes::from(delivery.data);
    Outgoing { headers, ..Outgoing::new(ChannelName::events(), key, value) }
}

fn header_name(name: &str) -> String {
    let attribute = ATTRIBUTES.iter().find_map(|prefix| name.strip_prefix(prefix));
    match attribute {
        Some(attribute) => format!("ce_{}", attribute.to_ascii_lowercase()),
        None => name.to_ascii_lowercase(),
    }
}

fn copy(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;
    use lapin::types::AMQPValue;

    use super::*;
    use crate::codec::{short, text};

    fn message(routing_key: &str, headers: &[(&str, AMQPValue)]) -> Outgoing {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert(short(*name), value.clone());
        }
        let mut delivery = Delivery::mock(1, short("events.in"), short(routing_key), false, b"{}".to_vec());
        delivery.properties = BasicProperties::default()
            .with_headers(table)
            .with_message_id(short("m-1"))
            .with_content_type(short("application/json"))
            .with_content_encoding(short("gzip"));
        outgoing(delivery)
    }

    fn header(record: &Outgoing, wanted: &str) -> Option<String> {
        let (_, value) = record.headers.iter().find(|(name, _)| name == wanted)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn attributes_become_headers() {
        let record = message(
            "shop",
            &[
                ("cloudEvents:type", text("order.paid")),
                ("cloudEvents_partitionkey", text("customer-7")),
                ("cloudEvents:sequence", AMQPValue::LongInt(5)),
                ("ce-subject", text("1001")),
                ("X-Trace", text("abc")),
                ("x-death", AMQPValue::Void),
            ],
        );
        assert_eq!(&record.key[..], b"customer-7");
        assert_eq!(header(&record, "ce_type").as_deref(), Some("order.paid"));
        assert_eq!(header(&record, "ce_sequence").as_deref(), Some("5"));
        assert_eq!(header(&record, "ce_subject").as_deref(), Some("1001"));
        assert_eq!(header(&record, "content-type").as_deref(), Some("application/json"));
        assert_eq!(header(&record, "content-encoding").as_deref(), Some("gzip"));
        assert_eq!(header(&record, "x-trace").as_deref(), Some("abc"));
        assert_eq!(record.headers.len(), 7);
    }

    #[test]
    fn the_key_is_what_is_there() {
        assert_eq!(&message("shop", &[]).key[..], b"shop");
        assert_eq!(&message("", &[]).key[..], b"m-1");
    }
}
