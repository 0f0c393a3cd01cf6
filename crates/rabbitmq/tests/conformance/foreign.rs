//! Other programs publish events without knowing of partitions.

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use tokio::time::{Duration, Instant, sleep};
use trunkline_broker::conformance::Fixture;
use trunkline_broker::conformance::consumer::Consumer;
use trunkline_broker::conformance::stage::{MAX_RECORD, ensure, spec};
use trunkline_broker::{ChannelName, GroupName};

use crate::fixture::Rabbit;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_events_come_to_their_partition_and_large_ones_aside() {
    let f = Rabbit::start("").await;
    let (events, router) = (ChannelName::events(), GroupName::router());
    let broker = f.broker().await;
    ensure(&broker, &[spec(&events, 4, &[&router])]).await;

    let connection = Connection::connect(f.server.url(), ConnectionProperties::default()).await.unwrap();
    let amqp = connection.create_channel().await.unwrap();
    amqp.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let exchange = format!("{}events.in", f.prefix);
    let publish = async |key: &str, body: &[u8]| {
        let mut table = FieldTable::default();
        table.insert("cloudEvents:type".into(), AMQPValue::LongString("order.paid".into()));
        table.insert("cloudEvents:partitionkey".into(), AMQPValue::LongString(key.into()));
        let properties = BasicProperties::default()
            .with_headers(table)
            .with_delivery_mode(2)
            .with_content_type("application/json".into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let sent = amqp.basic_publish(exchange.as_str().into(), "shop".into(), options, body, properties);
        let confirmed = sent.await.unwrap().await.unwrap();
        assert!(confirmed.is_ack() && confirmed.take_message().is_none());
    };
    for number in 0..20 {
        publish(&format!("customer-{}", number % 5), format!("{{\"n\":{number}}}").as_bytes()).await;
    }
    publish("customer-0", &vec![b'x'; MAX_RECORD + 1]).await;

    let mut consumer = Consumer::join(&f, &broker, std::slice::from_ref(&events), &router).await;
    let received = consumer.take_and_settle(20).await;
    for customer in 0..5 {
        let key = format!("customer-{customer}");
        let of_it: Vec<_> = received.iter().filter(|record| record.key == key).collect();
        let values: Vec<_> = of_it.iter().map(|record| record.value.clone()).collect();
        let expected: Vec<_> = (0..4).map(|turn| format!("{{\"n\":{}}}", turn * 5 + customer)).collect();
        assert_eq!(values, expected);
        assert!(of_it.iter().all(|record| record.position.partition == of_it[0].position.partition));
        let header =
            |wanted: &str| of_it[0].headers.iter().find(|(name, _)| name == wanted).unwrap().1.clone();
        assert_eq!(
            (&header("ce_type")[..], &header("content-type")[..]),
            (&b"order.paid"[..], &b"application/json"[..])
        );
    }
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let refused = format!("{}events.in:refused", f.prefix);
    let deadline = Instant::now() + f.patience();
    while amqp
        .queue_declare(refused.as_str().into(), passive, FieldTable::default())
        .await
        .unwrap()
        .message_count()
        < 1
    {
        assert!(Instant::now() < deadline, "what is too large is not kept");
        sleep(Duration::from_millis(50)).await;
    }
    consumer.expect_nothing().await;
    connection.close(200, "done".into()).await.unwrap();
    f.stop().await;
}
