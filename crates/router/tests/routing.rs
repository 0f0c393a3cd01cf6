//! The router on a real engine: what becomes of events, whatever they are.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use trunkline_sdk::broker::{ChannelName, ChannelSpec, Ensure, GroupName, Keep, Outgoing};
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord};
use trunkline_sdk::core::{DeadLetter, DeadLetterReason, Event};
use trunkline_sdk::testing::TestBus;
use trunkline_sdk::{Adapters, tokio};

const SOON: Duration = Duration::from_secs(10);

const CONFIGURATION: &str = r#"
version: 1
destinations:
  crm: { external: true }
  erp: { external: true }
subscriptions:
  all-orders:
    match: { type: [{ prefix: "order." }] }
    to: crm
  large-orders:
    match: { type: [{ prefix: "order." }], data: { total: [{ numeric: [">", 100] }] } }
    transform: '{ "sum": .data.total }'
    to: erp
  named-orders:
    match: { type: ["order.named"] }
    transform: '{ "name": upcase!(.data.name) }'
    to: erp
"#;

fn event(id: &str, kind: &str, data: &str) -> Event {
    Event::builder(id, "shop", kind).key(format!("key-{id}")).json(data).build().unwrap()
}

async fn started(configuration: &str) -> TestBus {
    let bus = TestBus::start(configuration, Adapters::new()).await.unwrap();
    tokio::spawn(trunkline_router::run(bus.host(), trunkline_router::RouterSettings::default()));
    bus
}

/// Sums the counts of the journey until `enough`.
async fn counts(bus: &TestBus, enough: impl Fn(&JourneyCounts) -> bool) -> JourneyCounts {
    let mut observer =
        bus.broker().observe(&ChannelName::journey(), trunkline_sdk::broker::Start::Oldest).await.unwrap();
    let mut sum = JourneyCounts::default();
    tokio::time::timeout(SOON, async {
        while !enough(&sum) {
            for record in observer.next().await.unwrap() {
                let counts = JourneyRecord::decode(record.value.clone()).unwrap().counts;
                sum.routed += counts.routed;
                sum.filtered += counts.filtered;
                sum.undecodable += counts.undecodable;
                sum.made += counts.made;
                sum.dead += counts.dead;
            }
        }
    })
    .await
    .unwrap_or_else(|_| panic!("the journey only says {sum:?}"));
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn each_subscription_gets_its_delivery_in_its_form() {
    let bus = started(CONFIGURATION).await;
    let event = event("1", "order.created", r#"{"total": 250}"#);
    bus.publish(&event).await.unwrap();
    let crm = bus.deliveries("crm", 1, SOON).await.unwrap().remove(0);
    let erp = bus.deliveries("erp", 1, SOON).await.unwrap().remove(0);
    assert_eq!((crm.subscription.as_str(), crm.body), ("all-orders", None));
    assert_eq!(crm.event.encoded(), event.encoded(), "the event's bytes are untouched");
    assert_eq!(erp.body.unwrap().bytes, Bytes::from_static(br#"{"sum":250}"#));
    assert_eq!(erp.rule_set.len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_kept_and_the_partition_goes_on() {
    let bus = started(CONFIGURATION).await;
    let poison = Bytes::from_static(b"\xff\x00 no event");
    let key = Bytes::from_static(b"key");
    bus.broker().publish(vec![Outgoing::new(ChannelName::events(), key, poison.clone())]).await.unwrap();
    bus.publish(&event("2", "order.created", r#"{"total": 1}"#)).await.unwrap();
    let dead =
        bus.drain(&ChannelName::dead_router(), &GroupName::console(), 1, SOON).await.unwrap().remove(0);
    let dead = DeadLetter::decode(dead).unwrap();
    assert_eq!((dead.contents, dead.reason), (Contents::Malformed(poison), DeadLetterReason::Undecodable));
    assert_eq!(bus.deliveries("crm", 1, SOON).await.unwrap()[0].event.id(), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_transform_is_a_dead_letter_and_hides_no_other_match() {
    let bus = started(CONFIGURATION).await;
    let event = event("3", "order.named", r#"{"total": 1, "name": 7}"#);
    bus.publish(&event).await.unwrap();
    let dead = bus.dead_letters("erp", 1, SOON).await.unwrap().remove(0);
    assert_eq!(dead.reason, DeadLetterReason::TransformFailed);
    let Contents::Delivery(delivery) = dead.contents else { panic!("the original event is kept") };
    assert_eq!(
        (delivery.subscription.as_str(), delivery.event, delivery.body),
        ("named-orders", event, None)
    );
    assert_eq!(bus.deliveries("crm", 1, SOON).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_counted_once_and_nothing_stays_unsettled() {
    let bus = started(CONFIGURATION).await;
    for number in 0..50 {
        let kind = if number % 5 == 0 { "invoice.created" } else { "order.created" };
        bus.publish(&event(&number.to_string(), kind, r#"{"total": 500}"#)).await.unwrap();
    }
    let counts = counts(&bus, |counts| counts.routed + counts.filtered >= 50).await;
    assert_eq!((counts.routed, counts.filtered, counts.made, counts.dead), (40, 10, 80, 0));
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let lag = bus.broker().lag(&ChannelName::events(), &GroupName::router()).await.unwrap();
        let unsettled: u64 = lag.iter().map(|lag| lag.records).sum();
        if unsettled == 0 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{unsettled} events stay unsettled");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_routed_together_are_counted_each() {
    let configuration = format!("{CONFIGURATION}channels: {{ journey: {{ steps: failures }} }}\n");
    let bus = TestBus::start(&configuration, Adapters::new()).await.unwrap();
    for number in 0..200 {
        bus.publish(&event(&number.to_string(), "order.created", "{}")).await.unwrap();
    }
    tokio::spawn(trunkline_router::run(bus.host(), trunkline_router::RouterSettings::default()));
    let start = trunkline_sdk::broker::Start::Oldest;
    let mut observer = bus.broker().observe(&ChannelName::journey(), start).await.unwrap();
    let (mut routed, mut times) = (0, Vec::new());
    let reading = async {
        while routed < 200 {
            for record in observer.next().await.unwrap() {
                let record = JourneyRecord::decode(record.value.clone()).unwrap();
                routed += record.counts.routed;
                times.push(record.time);
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap();
    // The console knows a journey record by its content, and these have nothing but counts and a time.
    let records = times.len();
    times.sort_unstable();
    times.dedup();
    assert!(records > 1 && times.len() == records, "{records} records have {} times", times.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_set_replaces_the_whole_and_a_bad_one_nothing() {
    let bus = started(CONFIGURATION).await;
    bus.publish(&event("before", "order.created", "{}")).await.unwrap();
    let before = bus.deliveries("crm", 1, SOON).await.unwrap().remove(0);

    let broken = CONFIGURATION.replace("{ \"sum\": .data.total }", "{ \"sum\": ");
    bus.reconfigure(&broken).await.unwrap();
    let changed = CONFIGURATION
        .replace("order.\" }] }\n    to: crm", "order.\" }] }\n    transform: '{ \"v\": 2 }'\n    to: crm");
    assert_ne!(changed, CONFIGURATION);
    bus.publish(&event("still", "order.created", "{}")).await.unwrap();
    let still = bus.deliveries("crm", 1, SOON).await.unwrap().remove(0);
    assert_eq!(still.rule_set, before.rule_set, "a rule set that does not compile replaces nothing");

    bus.reconfigure(&changed).await.unwrap();
    let deadline = tokio::time::Instant::now() + SOON;
    for number in 0.. {
        bus.publish(&event(&format!("after-{number}"), "order.created", "{}")).await.unwrap();
        let after = bus.deliveries("crm", 1, SOON).await.unwrap().remove(0);
        if after.rule_set != before.rule_set {
            assert_eq!(after.body.unwrap().bytes, Bytes::from_static(br#"{"v":2}"#));
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "the changed rule set is not taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_too_large_for_the_engine_is_a_dead_letter_with_its_event() {
    let configuration =
        CONFIGURATION.replace("version: 1", "version: 1\nchannels: { max_record: 128KiB }").replace(
            "transform: '{ \"sum\": .data.total }'",
            "transform: '{ \"a\": .data.filler, \"b\": .data.filler }'",
        );
    let bus = started(&configuration).await;
    let filler = "x".repeat(50 * 1024);
    let event = event("big", "order.created", &format!(r#"{{"total": 500, "filler": "{filler}"}}"#));
    bus.publish(&event).await.unwrap();
    let dead = bus.dead_letters("erp", 1, SOON).await.unwrap().remove(0);
    assert_eq!(dead.reason, DeadLetterReason::TooLarge);
    assert!(dead.dropped_body.unwrap().length > 100 * 1024);
    let Contents::Delivery(delivery) = dead.contents else { panic!("the event is never left out") };
    assert_eq!(delivery.event, event);
    assert_eq!(bus.deliveries("crm", 1, SOON).await.unwrap().len(), 1);
}

/// Somebody changed the channel on the broker since the router looked.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_its_channel_does_not_take_is_a_dead_letter_and_stops_nothing() {
    let bus = started(CONFIGURATION).await;
    let name = trunkline_sdk::core::DestinationName::parse("erp").unwrap();
    let smaller = ChannelSpec {
        name: ChannelName::deliver(&name),
        partitions: 4,
        groups: vec![GroupName::dispatcher()],
        keep: Keep::UntilSettled,
        max_record: 4096,
    };
    bus.broker().ensure(&[smaller], Ensure::Create).await.unwrap();
    let filler = "x".repeat(8192);
    let big = event("big", "order.created", &format!(r#"{{"total": 500, "filler": "{filler}"}}"#));
    bus.publish(&big).await.unwrap();
    bus.publish(&event("small", "order.created", r#"{"total": 500}"#)).await.unwrap();
    let dead = bus.dead_letters("erp", 1, SOON).await.unwrap().remove(0);
    assert_eq!(dead.reason, DeadLetterReason::TooLarge);
    assert!(dead.detail.contains("deliver.erp") && dead.detail.contains("4096"), "{}", dead.detail);
    let Contents::Delivery(delivery) = dead.contents else { panic!("the event is never left out") };
    assert_eq!(delivery.event, big);
    assert_eq!(bus.deliveries("erp", 1, SOON).await.unwrap()[0].event.id(), "small");
    assert_eq!(bus.deliveries("crm", 2, SOON).await.unwrap().len(), 2);
    assert_eq!(counts(&bus, |sum| sum.dead == 1).await.dead, 1);
}
