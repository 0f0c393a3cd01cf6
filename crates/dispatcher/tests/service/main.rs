//! The dispatcher on the real engine and the real store, with platforms that answer by script.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod platform;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::sleep;
use trunkline_dispatcher::run;
use trunkline_sdk::broker::{ChannelName, GroupName, Outgoing};
use trunkline_sdk::core::dead_letter::Contents;
use trunkline_sdk::core::journey::{JourneyCounts, JourneyRecord};
use trunkline_sdk::core::{DeadLetterReason, DestinationName};
use trunkline_sdk::service::{Exit, Host};
use trunkline_sdk::store::DestinationState;
use trunkline_sdk::testing::{self, TestBus};
use trunkline_sdk::{Adapters, Delivery, DeliveryError, Event};

use platform::{Platform, Reply, Scripted};

const SOON: Duration = Duration::from_secs(20);

/// A bus whose destination `crm` is `platform`, with more settings of the destination.
async fn bus(platform: &Platform, more: &str) -> TestBus {
    TestBus::start(&configuration(platform, more), Adapters::new().destination::<Scripted>()).await.unwrap()
}

fn configuration(platform: &Platform, more: &str) -> String {
    format!(
        "version: 1\ndestinations:\n  crm: {{ adapter: scripted, settings: {{ platform: \"{}\" }}, {more} }}\n",
        platform.name()
    )
}

fn start(host: Host) -> JoinHandle<anyhow::Result<()>> {
    tokio::spawn(run(host, Vec::new()))
}

/// Stops a dispatcher; the next one gets a host that is not stopped.
async fn stop(bus: &TestBus, dispatcher: JoinHandle<anyhow::Result<()>>) {
    bus.host().shutdown.cancel();
    dispatcher.await.unwrap().unwrap();
}

async fn deliver(bus: &TestBus, key: &str, ids: impl IntoIterator<Item = u32>) {
    let channel = ChannelName::deliver(&DestinationName::parse("crm").unwrap());
    let records = ids.into_iter().map(|id| {
        let delivery = delivery("crm", key, &id.to_string());
        Outgoing::new(channel.clone(), delivery.event.key(), delivery.encode())
    });
    bus.broker().publish(records.collect()).await.unwrap();
}

fn delivery(destination: &str, key: &str, id: &str) -> Delivery {
    let event = Event::builder(id, "shop", "commerce.order.paid").key(key).build().unwrap();
    Delivery { destination: destination.to_owned(), ..testing::delivery(event) }
}

#[track_caller]
fn until(condition: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let began = Instant::now();
        while !condition() {
            assert!(began.elapsed() < SOON, "not within {SOON:?}: {caller}");
            sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn lag(bus: &TestBus) -> u64 {
    let channel = ChannelName::deliver(&DestinationName::parse("crm").unwrap());
    let lag = bus.broker().lag(&channel, &GroupName::dispatcher()).await.unwrap();
    lag.iter().map(|lag| lag.records).sum()
}

async fn until_settled(bus: &TestBus) {
    let began = Instant::now();
    while lag(bus).await > 0 {
        assert!(began.elapsed() < SOON, "the backlog is not settled");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn counts(bus: &TestBus) -> JourneyCounts {
    let (channel, group) = (ChannelName::journey(), GroupName::console());
    let lag = bus.broker().lag(&channel, &group).await.unwrap();
    let records = lag.iter().map(|lag| lag.records as usize).sum();
    let mut counts = JourneyCounts::default();
    for value in bus.drain(&channel, &group, records, SOON).await.unwrap() {
        let record = JourneyRecord::decode(value).unwrap();
        counts.attempts += record.counts.attempts;
        counts.delivered += record.counts.delivered;
        counts.dead += record.counts.dead;
        counts.held += record.counts.held;
    }
    counts
}

fn assert_each_once(platform: &Platform, count: usize) {
    let took = platform.took();
    let distinct: BTreeSet<_> = took.iter().collect();
    assert_eq!((distinct.len(), took.len()), (count, count), "lost or delivered twice");
}

fn assert_in_order(platform: &Platform) {
    let mut last: BTreeMap<String, u32> = BTreeMap::new();
    for seen in platform.seen().into_iter().filter(|seen| seen.taken) {
        let id: u32 = seen.id.parse().unwrap();
        let before = last.insert(seen.key.clone(), id);
        assert!(before.is_none_or(|before| before < id), "{before:?} before {id} in `{}`", seen.key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_delivered_once_and_each_key_in_order() {
    let platform = Platform::new(|delivery, _| {
        let spread = delivery.event.id().bytes().map(u64::from).sum::<u64>() * 31 % 4;
        Reply::TakeAfter(Duration::from_millis(spread))
    });
    let bus = bus(&platform, "concurrency: 32").await;
    let dispatcher = start(bus.host());
    for round in 0..10 {
        for key in 0..40 {
            deliver(&bus, &format!("k{key}"), (0..5).map(|n| (round * 40 + key) * 5 + n)).await;
        }
    }
    until(|| platform.took().len() >= 2000).await;
    until_settled(&bus).await;
    stop(&bus, dispatcher).await;
    assert_each_once(&platform, 2000);
    assert_in_order(&platform);
    let counts = counts(&bus).await;
    assert_eq!((counts.attempts, counts.delivered, counts.dead), (2000, 2000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_is_kept_to_by_the_engine_s_clock() {
    let platform = Platform::new(|_, before| match before {
        0 => Reply::Fail(DeliveryError::throttled(Duration::from_secs(1), "slow down").answered(429, "")),
        _ => Reply::Take,
    });
    let bus = bus(&platform, "timeout: 5s").await;
    let dispatcher = start(bus.host());
    deliver(&bus, "k", [1]).await;
    until(|| platform.took().len() == 1).await;
    stop(&bus, dispatcher).await;
    let seen = platform.seen();
    let waited = seen[1].at - seen[0].at;
    assert!((1000..2000).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_everything_in_order_until_a_probe_succeeds() {
    let platform = Platform::new(|_, _| Reply::Fail(DeliveryError::halted("refused").answered(401, "")));
    let bus = bus(&platform, "probe_every: 300ms").await;
    for key in 0..10 {
        deliver(&bus, &format!("k{key}"), (0..20).map(|n| key * 20 + n)).await;
    }
    let dispatcher = start(bus.host());
    let held =
        async || matches!(bus.store().destination_state("crm").await.unwrap(), DestinationState::Held { .. });
    let began = Instant::now();
    while !held().await {
        assert!(began.elapsed() < SOON);
        sleep(Duration::from_millis(5)).await;
    }
    // A few probes, none of which may cost anything.
    sleep(Duration::from_millis(1000)).await;
    assert_eq!(lag(&bus).await, 200);
    platform.turn(|_, _| Reply::Take);
    until(|| platform.took().len() == 200).await;
    until_settled(&bus).await;
    assert_each_once(&platform, 200);
    assert_in_order(&platform);
    let began = Instant::now();
    while held().await {
        assert!(began.elapsed() < SOON);
        sleep(Duration::from_millis(5)).await;
    }
    stop(&bus, dispatcher).await;
    let counts = counts(&bus).await;
    assert_eq!((counts.delivered, counts.dead, counts.held), (200, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_under_load_loses_nothing_and_repeats_only_what_was_under_way() {
    let platform = Platform::new(|_, _| Reply::TakeAfter(Duration::from_millis(2)));
    let bus = bus(&platform, "concurrency: 8").await;
    for key in 0..50 {
        deliver(&bus, &format!("k{key}"), (0..20).map(|n| key * 20 + n)).await;
    }
    let mut repeated = 0;
    for kill_after in [30, 50, 70] {
        let dispatcher = start(bus.host());
        sleep(Duration::from_millis(kill_after)).await;
        dispatcher.abort();
        assert!(dispatcher.await.unwrap_err().is_cancelled());
        // Under way, and done but not settled yet: what 5 ms of gathering and a commit may hold.
        repeated += 8 + 8 * 20;
    }
    let dispatcher = start(bus.host());
    let distinct = || platform.took().into_iter().collect::<BTreeSet<_>>().len();
    until(|| distinct() == 1000).await;
    until_settled(&bus).await;
    stop(&bus, dispatcher).await;
    let took = platform.took().len();
    assert!(took - 1000 <= repeated, "{} were delivered twice", took - 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_under_load_settles_what_was_begun() {
    let platform = Platform::new(|_, _| Reply::TakeAfter(Duration::from_millis(20)));
    let bus = bus(&platform, "concurrency: 16").await;
    for key in 0..30 {
        deliver(&bus, &format!("k{key}"), (0..20).map(|n| key * 20 + n)).await;
    }
    let dispatcher = start(bus.host());
    until(|| platform.took().len() > 50).await;
    stop(&bus, dispatcher).await;
    let took = platform.took().len() as u64;
    assert!(took < 600);
    assert_eq!(lag(&bus).await, 600 - took, "each delivery is either settled or still there");
    let again = Host { shutdown: tokio_util::sync::CancellationToken::new(), ..bus.host() };
    let dispatcher = start(again.clone());
    until(|| platform.took().len() >= 600).await;
    again.shutdown.cancel();
    dispatcher.await.unwrap().unwrap();
    assert_each_once(&platform, 600);
    assert_eq!(lag(&bus).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_by_the_grace_period_is_exit_code_6() {
    let platform = Platform::new(|_, _| Reply::TakeAfter(Duration::from_secs(60)));
    let bus = bus(&platform, "timeout: 2m").await;
    deliver(&bus, "k", [1]).await;
    let host = Host { grace: Duration::from_millis(100), ..bus.host() };
    let dispatcher = start(host);
    until(|| platform.seen().len() == 1).await;
    bus.host().shutdown.cancel();
    let error = dispatcher.await.unwrap().unwrap_err();
    assert_eq!(Exit::of(error.as_ref()), Exit::Unsettled);
    assert_eq!(lag(&bus).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_becomes_a_dead_letter_with_its_bytes() {
    let platform = Platform::new(|_, _| Reply::Take);
    let bus = bus(&platform, "timeout: 5s").await;
    let channel = ChannelName::deliver(&DestinationName::parse("crm").unwrap());
    let garbage = trunkline_sdk::bytes::Bytes::from_static(b"\x0a\xff\xff\xff\xff\x0fgarbage");
    bus.broker().publish(vec![Outgoing::new(channel, "k".into(), garbage.clone())]).await.unwrap();
    deliver(&bus, "k", [1]).await;
    let dispatcher = start(bus.host());
    let letters = bus.dead_letters("crm", 1, SOON).await.unwrap();
    assert_eq!(
        (letters[0].reason, &letters[0].contents),
        (DeadLetterReason::Undecodable, &Contents::Malformed(garbage))
    );
    until(|| platform.took() == ["1"]).await;
    stop(&bus, dispatcher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_configuration_is_followed_and_a_bad_one_is_not() {
    let (first, second) = (Platform::new(|_, _| Reply::Take), Platform::new(|_, _| Reply::Take));
    let bus = bus(&first, "timeout: 5s").await;
    let dispatcher = start(bus.host());
    deliver(&bus, "k", [1]).await;
    until(|| first.took().len() == 1).await;

    bus.reconfigure(
        "version: 1\ndestinations: { crm: { adapter: scripted, settings: { platform: nobody } } }",
    )
    .await
    .unwrap();
    sleep(Duration::from_millis(50)).await;
    deliver(&bus, "k", [2]).await;
    until(|| first.took().len() == 2).await;

    let both = format!(
        "{}  erp: {{ adapter: scripted, settings: {{ platform: \"{}\" }} }}\n",
        configuration(&second, "timeout: 5s"),
        first.name()
    );
    bus.reconfigure(&both).await.unwrap();
    bus.deliver(&delivery("erp", "k", "3")).await.unwrap();
    until(|| first.took() == ["1", "2", "3"]).await;
    deliver(&bus, "k", [4]).await;
    until(|| second.took() == ["4"]).await;
    stop(&bus, dispatcher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_chosen_destinations_are_hosted() {
    let platform = Platform::new(|_, _| Reply::Take);
    let configuration = format!(
        "{}  erp: {{ adapter: scripted, settings: {{ platform: \"{}\" }} }}\n  other: {{ external: true }}\n",
        configuration(&platform, "timeout: 5s"),
        platform.name()
    );
    let bus = TestBus::start(&configuration, Adapters::new().destination::<Scripted>()).await.unwrap();
    for (destination, id) in [("erp", "1"), ("crm", "2"), ("other", "3")] {
        bus.deliver(&delivery(destination, "k", id)).await.unwrap();
    }
    let name = |text: &str| DestinationName::parse(text).unwrap();
    for wrong in ["nobody", "other"] {
        let error = run(bus.host(), vec![name(wrong)]).await.unwrap_err();
        assert_eq!(Exit::of(error.as_ref()), Exit::Configuration, "{error:#}");
    }
    let dispatcher = tokio::spawn(run(bus.host(), vec![name("crm")]));
    until(|| platform.took() == ["2"]).await;
    sleep(Duration::from_millis(50)).await;
    stop(&bus, dispatcher).await;
    assert_eq!(platform.took(), ["2"]);
    assert_eq!(bus.deliveries("other", 1, SOON).await.unwrap()[0].event.id(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_comes_and_goes_gets_everything_once_it_is_back() {
    let platform = Platform::new(|delivery, before| {
        let id: usize = delivery.event.id().parse().unwrap();
        if before < id % 4 {
            Reply::Fail(DeliveryError::transient("busy").answered(503, ""))
        } else {
            Reply::Take
        }
    });
    let bus = bus(&platform, "circuit: { failures: 0 }, retry: { first: 20ms, max: 50ms }").await;
    let dispatcher = start(bus.host());
    for key in 0..20 {
        deliver(&bus, &format!("k{key}"), (0..20).map(|n| key * 20 + n)).await;
    }
    until(|| platform.took().len() >= 400).await;
    until_settled(&bus).await;
    stop(&bus, dispatcher).await;
    assert_each_once(&platform, 400);
    let counts = counts(&bus).await;
    assert_eq!((counts.attempts, counts.delivered), (400 + 600, 400));
}
