//! Records that other publishers put straight on `events`, by the Kafka protocol binding of CloudEvents.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use trunkline_sdk::broker::{ChannelName, GroupName, Outgoing, Start};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord, Step};
use trunkline_sdk::core::{DeadLetter, DeadLetterReason, Event};
use trunkline_sdk::testing::TestBus;
use trunkline_sdk::{Adapters, tokio};

const SOON: Duration = Duration::from_secs(20);
const CONFIGURATION: &str = r#"
version: 1
destinations: { crm: { external: true } }
subscriptions:
  orders: { match: { type: ["order.created"], data: { total: [{ numeric: [">", 0] }] } }, to: crm }
"#;

fn record(headers: &[(&str, &str)], key: &str, value: impl Into<Bytes>) -> Outgoing {
    let mut record =
        Outgoing::new(ChannelName::events(), Bytes::copy_from_slice(key.as_bytes()), value.into());
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()));
    record.headers = headers.iter().map(owned).collect();
    record
}

fn binary(id: &str, key: &str, data: &str) -> Outgoing {
    let headers = [
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", "/shop"),
        ("ce_type", "order.created"),
        ("content-type", "application/json"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    record(&headers, key, data.to_owned())
}

fn structured(id: &str, key: &str, data: &str) -> Outgoing {
    let text = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/shop","type":"order.created","data":{data}}}"#
    );
    record(&[("content-type", "application/cloudevents+json; charset=UTF-8")], key, text)
}

fn protobuf(id: &str, key: &str, data: &str) -> Outgoing {
    let event = Event::builder(id, "/shop", "order.created").json(data).build().unwrap();
    record(&[("content-type", "application/cloudevents+protobuf")], key, event.encoded().clone())
}

async fn started() -> TestBus {
    let bus = TestBus::start(CONFIGURATION, Adapters::new()).await.unwrap();
    tokio::spawn(trunkline_router::run(bus.host(), trunkline_router::RouterSettings::default()));
    bus
}

/// The journey's counts, once as many records are accounted for.
async fn counts(bus: &TestBus, records: u64) -> (JourneyCounts, usize) {
    let mut observer = bus.broker().observe(&ChannelName::journey(), Start::Oldest).await.unwrap();
    let (mut sum, mut accepted_steps) = (JourneyCounts::default(), 0);
    tokio::time::timeout(SOON, async {
        while sum.routed + sum.filtered + sum.undecodable < records {
            for record in observer.next().await.unwrap() {
                let journey = JourneyRecord::decode(record.value.clone()).unwrap();
                sum.accepted += journey.counts.accepted;
                sum.routed += journey.counts.routed;
                sum.filtered += journey.counts.filtered;
                sum.undecodable += journey.counts.undecodable;
                accepted_steps += journey.steps.iter().filter(|step| step.step == Step::Accepted).count();
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("the journey only says {sum:?}"));
    (sum, accepted_steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mode_is_routed_in_the_order_of_its_key() {
    let bus = started().await;
    let records = vec![
        binary("1", "customer-1", r#"{"total": 1}"#),
        structured("2", "customer-1", r#"{"total": 2}"#),
        protobuf("3", "customer-1", r#"{"total": 3}"#),
        protobuf("4", "", r#"{"total": 4}"#),
    ];
    bus.broker().publish(records).await.unwrap();
    let deliveries = bus.deliveries("crm", 4, SOON).await.unwrap();
    let keyed: Vec<_> = deliveries.iter().filter(|delivery| delivery.event.key() == "customer-1").collect();
    assert_eq!(keyed.iter().map(|delivery| delivery.event.id()).collect::<Vec<_>>(), ["1", "2", "3"]);
    let bare = deliveries.iter().find(|delivery| delivery.event.id() == "4").unwrap();
    assert_eq!(bare.event.key(), "/shop\x004");
    let (counts, steps) = counts(&bus, 4).await;
    assert_eq!((counts.accepted, counts.routed, steps), (4, 4, 4), "the account knows them from here on");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_accepted_by_a_gateway_is_not_accepted_again() {
    let bus = started().await;
    let event = Event::builder("1", "shop", "order.created").json(r#"{"total": 1}"#).build().unwrap();
    bus.publish(&event).await.unwrap();
    let (counts, steps) = counts(&bus, 1).await;
    assert_eq!((counts.accepted, counts.routed, steps), (0, 1, 0));
}

/// K9: of 2,000 records 1 % are poison of every kind.
#[tokio::test(flavor = "multi_thread")]
async fn poison_is_kept_byte_for_byte_and_everything_else_is_routed() {
    let bus = started().await;
    let poison = |number: usize, key: &str| match number / 100 % 10 {
        0 => record(&[], key, vec![0xff, 0x00, number as u8]),
        1 => structured(&number.to_string(), key, r#"{"total": 1, "total": 2}"#),
        2 => binary("", key, &number.to_string()),
        3 => structured(&number.to_string(), key, &"[".repeat(10_000)),
        4 => record(&[("content-type", "application/cloudevents-batch+json")], key, format!("[{number}]")),
        5 => record(&[("content-type", "application/json")], key, number.to_string()),
        6 => record(&[("content-type", "application/cloudevents+avro")], key, number.to_string()),
        7 => record(&[("content-encoding", "gzip")], key, vec![0x1f, 0x8b, number as u8]),
        8 => binary(&number.to_string(), key, &format!("{{{number}")),
        _ => record(&[("content-type", "application/cloudevents+protobuf")], key, number.to_string()),
    };
    let (mut buried, mut routed) = (BTreeMap::new(), Vec::new());
    let mut records = Vec::new();
    for number in 0..2_000 {
        let key = format!("key-{}", number % 17);
        let (id, data) = (number.to_string(), format!(r#"{{"total": {}}}"#, number + 1));
        records.push(match number % 100 {
            50 => {
                let poison = poison(number, &key);
                buried.insert(poison.value.clone(), poison.headers.clone());
                poison
            }
            _ => {
                routed.push(id.clone());
                [binary, structured, protobuf][number % 3](&id, &key, &data)
            }
        });
    }
    assert_eq!((buried.len(), routed.len()), (20, 1_980));
    for batch in records.chunks(500) {
        bus.broker().publish(batch.to_vec()).await.unwrap();
    }
    let deliveries = bus.deliveries("crm", routed.len(), SOON).await.unwrap();
    let mut delivered: Vec<String> =
        deliveries.iter().map(|delivery| delivery.event.id().to_owned()).collect();
    delivered.sort_by_key(|id| id.parse::<u32>().unwrap());
    assert_eq!(delivered, routed);
    let dead =
        bus.drain(&ChannelName::dead_router(), &GroupName::console(), buried.len(), SOON).await.unwrap();
    for dead in dead {
        let dead = DeadLetter::decode(dead).unwrap();
        let Contents::Malformed(bytes) = dead.contents else { panic!("{dead:?}") };
        let headers = buried.remove(&bytes).unwrap_or_else(|| panic!("not what was published: {bytes:?}"));
        assert_eq!(dead.reason, DeadLetterReason::Undecodable);
        for (name, value) in headers.iter().filter(|(name, _)| name.starts_with("ce_")) {
            let told = format!("{name}: {}", std::str::from_utf8(value).unwrap());
            assert!(dead.detail.contains(&told), "{told} is not in: {}", dead.detail);
        }
    }
    let (counts, _) = counts(&bus, 2_000).await;
    assert_eq!((counts.accepted, counts.routed, counts.undecodable), (2_000, 1_980, 20));
}
