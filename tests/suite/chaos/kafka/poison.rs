//! K9: records that are no events. K10: a record that its topic does not take.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::RngExt as _;
use serde_json::json;
use trunkline_core::DeadLetterReason;
use trunkline_core::dead_letter::Contents;
use trunkline_tests::kafka::{Follower, Foreign, Stored};
use trunkline_tests::{Seed, Tag, eventually, rounds};

use super::{RECOVERED, Routing, times};

/// One record in so many is poison.
const POISON: u32 = 100;

/// The five kinds in turn: a content type, and a value unlike all others (but null is null).
fn poison(number: u32, random: &mut impl rand::Rng) -> (&'static str, Option<Vec<u8>>) {
    let event = |seq| Tag { producer: 7, key: 0, seq }.event();
    match number % 5 {
        0 => {
            // No field of protobuf has the number 0, which a zero byte would begin.
            let mut garbage = vec![0_u8; 120];
            random.fill(&mut garbage[1..]);
            ("application/cloudevents+protobuf", Some(garbage))
        }
        1 => {
            let whole = event(number).to_string();
            ("application/cloudevents+json", Some(whole.as_bytes()[..whole.len() - 9].to_vec()))
        }
        2 => ("application/cloudevents+avro", Some(event(number).to_string().into_bytes())),
        3 => {
            let deep = format!("{}{number}{}", "[".repeat(10_000), "]".repeat(10_000));
            let text =
                event(number).to_string().replace("{\"key\":0", &format!("{{\"deep\":{deep},\"key\":0"));
            ("application/cloudevents+json", Some(text.into_bytes()))
        }
        _ => ("application/cloudevents+json", None),
    }
}

/// Puts events on the broker while no router runs, then starts one; the processor time it took.
async fn drained(
    routing: &mut Routing,
    name: &str,
    producer: u32,
    events: u32,
    poisoned: &mut Vec<Bytes>,
) -> Duration {
    let (foreign, topic) = (Foreign::to(routing.kafka.address()), routing.topic("events"));
    let mut random = Seed::of_this_run().generator(producer);
    for seq in 0..events {
        let tag = Tag { producer, key: seq % 64, seq: seq / 64 };
        routing.ledger.sending(tag);
        let (key, text) = (format!("{producer}/{}", tag.key), tag.event().to_string());
        let kind = ("content-type", "application/cloudevents+json");
        foreign.put(&topic, &key, Some(text.as_bytes()), &[kind]);
        if producer > 0 && seq % POISON == 0 {
            let (kind, value) = poison(seq / POISON, &mut random);
            foreign.put(&topic, &key, value.as_deref(), &[("content-type", kind)]);
            poisoned.push(value.unwrap_or_default().into());
        }
        if seq % 10_000 == 9_999 {
            foreign.flush();
        }
    }
    foreign.flush();
    let all: Vec<Tag> = (0..events).map(|seq| Tag { producer, key: seq % 64, seq: seq / 64 }).collect();
    routing.ledger.acked_all(&all);
    routing.fleet.launch(name, "router", &[]);
    routing.fleet.ready(name).await;
    let operator = routing.operator();
    eventually("all events to be settled", RECOVERED, async || (operator.lag(&topic) == 0).then_some(()))
        .await;
    let router = &routing.fleet.member(name).process;
    let took = router.processor();
    assert!(!router.log().contains("panicked"), "{}", router.log());
    routing.fleet.retire(name).await;
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k9_poison_becomes_dead_letters_byte_for_byte() {
    let case = "K9";
    let Some(mut routing) = Routing::start(case, "", &["router"]).await else { return };
    routing.fleet.retire("router").await;
    let (events, mut poisoned) = (times(20_000, 100_000), Vec::new());
    let clean = drained(&mut routing, "clean", 0, events, &mut poisoned).await;
    let with_poison = drained(&mut routing, "poisoned", 1, events, &mut poisoned).await;
    let ratio = clean.as_secs_f64() / with_poison.as_secs_f64();
    println!(
        "{case}: {events} events took {with_poison:?} of the processor with poison, {clean:?} without: {ratio:.2}"
    );
    let counted = |list: &mut dyn Iterator<Item = Bytes>| {
        list.fold(BTreeMap::<Bytes, usize>::new(), |mut counts, bytes| {
            *counts.entry(bytes).or_default() += 1;
            counts
        })
    };
    let letters = Follower::of(routing.kafka.address(), &routing.topic("dead.router")).read_to_end();
    let letters: Vec<_> = letters.iter().map(Stored::dead_letter).collect();
    assert!(letters.iter().all(|letter| {
        letter.reason == DeadLetterReason::Undecodable
            && !letter.detail.is_empty()
            && letter.attempts().is_empty()
    }));
    let mut found = letters.iter().map(|letter| match &letter.contents {
        Contents::Malformed(bytes) => bytes.clone(),
        other => panic!("not the record's bytes: {other:?}"),
    });
    let (found, put) = (counted(&mut found), counted(&mut poisoned.clone().into_iter()));
    println!("{case}: {} of {} poisonous records are dead letters", letters.len(), poisoned.len());
    assert!(found == put, "the dead letters are not what was put on the channel");
    routing.judge(case, 0).await;
    // The processor's time, which does not depend on what else runs on the machine; a quick run has little of it.
    let least = if rounds() == 1 { 0.7 } else { 0.9 };
    assert!(ratio >= least, "{ratio:.2} of the clean run's speed");
}

/// Two of sixty events are so long that no delivery of them is taken: they are dead letters, the others are delivered.
async fn oversized(mut routing: Routing, case: &str, length: usize, dup: usize) {
    let (foreign, topic) = (Foreign::to(routing.kafka.address()), routing.topic("events"));
    let big: Vec<Tag> = [13, 47].map(|seq| Tag { producer: 0, key: 0, seq }).into();
    for seq in 0..60 {
        let tag = Tag { producer: 0, key: 0, seq };
        let mut event = tag.event();
        if big.contains(&tag) {
            event["data"] = json!("x".repeat(length));
        }
        routing.ledger.sending(tag);
        let kind = ("content-type", "application/cloudevents+json");
        foreign.put(&topic, "0/0", Some(event.to_string().as_bytes()), &[kind]);
        if !big.contains(&tag) {
            routing.ledger.acked(tag);
        }
    }
    foreign.flush();
    let (began, operator) = (Instant::now(), routing.operator());
    eventually("all events to be settled", RECOVERED, async || (operator.lag(&topic) == 0).then_some(()))
        .await;
    println!("{case}: settled after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10), "the router tried on and on");
    let dead = Follower::of(routing.kafka.address(), &routing.topic("dead.all"));
    let letters = dead.read_to_end().into_iter().map(|stored| {
        let letter = stored.dead_letter();
        assert_eq!(letter.reason, DeadLetterReason::TooLarge);
        assert!(letter.attempts().len() <= 1, "{letter:?}");
        let Contents::Delivery(delivery) = &letter.contents else { panic!("{letter:?}") };
        Tag::parse(delivery.event.id()).unwrap()
    });
    let letters: Vec<Tag> = letters.collect();
    assert_eq!(letters, big, "the large ones are dead letters, nothing else, each once");
    routing.judge(case, dup).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k10_what_no_channel_carries_is_a_dead_letter_at_once() {
    let Some(routing) = Routing::start("K10", "", &["router"]).await else { return };
    // The event fits into a record, and a delivery needs more than its event.
    oversized(routing, "K10", (4 << 20) - 10_000, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k10_what_its_topic_refuses_is_a_dead_letter_at_once() {
    const LIMIT: usize = 20_000;
    let Some(routing) = Routing::start("K10", "", &["router"]).await else { return };
    routing.operator().alter(&routing.topic("deliver.all"), "max.message.bytes", &LIMIT.to_string()).await;
    oversized(routing, "K10 of the topic", LIMIT, 120).await;
}
