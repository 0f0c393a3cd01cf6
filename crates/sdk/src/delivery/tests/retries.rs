//! What becomes of deliveries that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use tokio::time::Instant;
use trunkline_broker::{ChannelName, Outgoing};
use trunkline_core::dead_letter::Contents;
use trunkline_core::journey::Step;
use trunkline_core::{Body, DeadLetterReason, Delivery, FailureClass, RetryPolicy};

use super::engine::Trouble;
use super::platform::{Platform, Reply};
use super::world::{World, attempts, delivery, hosted, name, secs, settings, until};
use crate::config::DestinationSettings;
use crate::delivery::Clock;
use crate::destination::DeliveryError;

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_attempted_again_as_the_same_delivery() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, before| match before {
        0..3 => Reply::Fail(DeliveryError::transient("busy").answered(503, "come back")),
        _ => Reply::Take,
    }));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "k", "1");
    until(secs(60), || !platform.took().is_empty()).await;
    running.stop().await.unwrap();
    let (steps, counts) = world.journey();
    let told: Vec<_> = steps.iter().map(|step| (step.step, step.attempt, step.status)).collect();
    let failed = |attempt| (Step::Attempt, attempt, Some(503));
    assert_eq!(told, [failed(1), failed(2), failed(3), (Step::Delivered, 4, Some(200))]);
    assert_eq!((counts.attempts, counts.delivered), (4, 1));
    assert!(world.backlog("crm").is_empty());
}

#[tokio::test(start_paused = true)]
async fn exhausted_attempts_end_in_a_dead_letter_with_all_of_them() {
    let world = World::new();
    let platform =
        Arc::new(Platform::new(|_, _| Reply::Fail(DeliveryError::transient("busy").answered(500, "no"))));
    let running = world.run(vec![hosted("crm", &platform, attempts(3))]);
    let original = Delivery { generation: 3, replay_id: "r".to_owned(), ..delivery("crm", "k", "1") };
    world.put(&original);
    until(secs(60), || !world.dead("crm").is_empty()).await;
    running.stop().await.unwrap();
    let [letter] = &world.dead("crm")[..] else { panic!("one dead letter") };
    assert_eq!(
        (letter.reason, letter.class.clone()),
        (DeadLetterReason::AttemptsExhausted, Some(FailureClass::Transient))
    );
    let numbers: Vec<u32> = letter.attempts().iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let Contents::Delivery(dead) = &letter.contents else { panic!("a delivery") };
    // D7: the next replay counts on from here, and the event is the very same.
    assert_eq!((dead.generation, dead.replay_id.as_str(), dead.attempt), (3, "r", 3));
    assert_eq!(dead.event.encoded(), original.event.encoded());
    let (steps, counts) = world.journey();
    assert_eq!((counts.attempts, counts.dead), (3, 1));
    assert_eq!(steps.last().unwrap().dead_letter_id, letter.id());
    assert!(world.backlog("crm").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_delivery_is_dead_at_once_and_holds_up_nobody() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|delivery, _| match delivery.event.id() {
        "0" => Reply::Fail(DeliveryError::rejected("no such contact").answered(422, "")),
        _ => Reply::Take,
    }));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    (0..3).for_each(|id| world.deliver("crm", "k", &id.to_string()));
    until(secs(1), || platform.took() == ["1", "2"]).await;
    running.stop().await.unwrap();
    assert_eq!(world.dead("crm")[0].reason, DeadLetterReason::Rejected);
    assert_eq!(world.dead("crm")[0].attempts()[0].status, Some(422));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_an_outcome_ends_at_the_time_out() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, before| if before == 0 { Reply::Hang } else { Reply::Take }));
    let timeout = DestinationSettings { timeout: secs(7), ..settings() };
    let running = world.run(vec![hosted("crm", &platform, timeout)]);
    world.deliver("crm", "k", "1");
    until(secs(60), || !platform.took().is_empty()).await;
    running.stop().await.unwrap();
    let seen = platform.seen();
    assert!((secs(7)..secs(9)).contains(&(seen[1].at - seen[0].at)));
    assert_eq!(platform.under_way(), 0);
    assert!(world.journey().0[0].detail.contains("time-out of 7s"), "{:?}", world.journey().0[0]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_adapter_is_a_failure_like_another() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, before| if before == 0 { Reply::Panic } else { Reply::Take }));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    (0..4).for_each(|id| world.deliver("crm", "k", &id.to_string()));
    until(secs(60), || platform.took().len() == 4).await;
    assert!(running.stop().await.unwrap().settled_all);
    assert!(world.journey().0[0].detail.contains("panicked"));
}

/// How long after an answer with Retry-After the delivery of attempt `number` + 1 is attempted again.
async fn comes_back_after(asked: u64, number: usize) -> Duration {
    let world = World::new();
    let platform = Arc::new(Platform::new(move |_, before| match before {
        before if before < number => Reply::Fail(DeliveryError::transient("busy")),
        before if before == number => Reply::Fail(DeliveryError::throttled(secs(asked), "slow down")),
        _ => Reply::Take,
    }));
    let _running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "k", "1");
    until(secs(20_000), || !platform.took().is_empty()).await;
    let seen = platform.seen();
    seen[number + 1].at - seen[number].at
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_never_undercut_and_hardly_exceeded() {
    for (asked, number) in [(1, 0), (30, 0), (30, 6), (600, 3), (3600, 0)] {
        let took = comes_back_after(asked, number).await;
        let latest = secs(asked) + (secs(asked) / 8).max(secs(1));
        assert!((secs(asked)..=latest).contains(&took), "{took:?} after {asked} s were asked for");
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_retry_after_than_the_cap_is_cut_to_it() {
    let took = comes_back_after(999_999, 0).await;
    assert!((secs(3600)..=secs(4050)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_asks_for_patience_gets_it_from_all_deliveries() {
    let world = World::new();
    let start = Instant::now();
    let platform = Arc::new(Platform::new(move |_, _| {
        if start.elapsed() < secs(30) {
            Reply::Fail(DeliveryError::throttled(secs(30), "slow down").answered(429, ""))
        } else {
            Reply::Take
        }
    }));
    let patient = DestinationSettings { concurrency: 2, ..settings() };
    let running = world.run(vec![hosted("crm", &platform, patient)]);
    (0..20).for_each(|id| world.deliver("crm", &id.to_string(), &id.to_string()));
    let channel = ChannelName::deliver(&name("crm"));
    // A long wait is waited out on the broker.
    until(secs(1), || world.engine.is_held(&channel) && world.engine.out(&channel) == 0).await;
    until(secs(60), || platform.took().len() == 20).await;
    running.stop().await.unwrap();
    let early = platform.seen().iter().filter(|seen| seen.at < start + secs(30)).count();
    assert_eq!(early, 2, "those under way when the first answer came");
    assert!(world.dead("crm").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_delivery_becomes_a_dead_letter_and_its_partition_goes_on() {
    let world = World::new();
    let platform = Arc::new(Platform::healthy());
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "k", "1");
    let garbage = Bytes::from_static(b"\xff\x00garbage");
    world.engine.put(Outgoing::new(
        ChannelName::deliver(&name("crm")),
        Bytes::from_static(b"k"),
        garbage.clone(),
    ));
    world.deliver("crm", "k", "2");
    until(secs(1), || platform.took() == ["1", "2"]).await;
    running.stop().await.unwrap();
    let [letter] = &world.dead("crm")[..] else { panic!("one dead letter") };
    assert_eq!(
        (letter.reason, &letter.contents),
        (DeadLetterReason::Undecodable, &Contents::Malformed(garbage))
    );
    assert!(world.engine.unsettled(&ChannelName::deliver(&name("crm"))).is_empty());
    assert_eq!(world.journey().1.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_can_not_carry_drops_its_body_and_never_its_event() {
    let world = World { max_record: 4096, ..World::new() };
    world.engine.trouble(Trouble { max_record: Some(4096), ..Trouble::default() });
    let platform = Arc::new(Platform::new(|_, _| Reply::Fail(DeliveryError::transient("x".repeat(400)))));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    let bytes = Bytes::from(vec![b'x'; 3500]);
    let body = Some(Body { bytes, content_type: "text/plain".to_owned() });
    let original = Delivery { body, ..delivery("crm", "k", "1") };
    world.put(&original);
    until(secs(60), || !world.dead("crm").is_empty()).await;
    running.stop().await.unwrap();
    let letter = &world.dead("crm")[0];
    assert_eq!(letter.reason, DeadLetterReason::TooLarge);
    assert_eq!(letter.dropped_body.as_ref().unwrap().length, 3500);
    let Contents::Delivery(dead) = &letter.contents else { panic!("a delivery") };
    assert_eq!(dead.event.encoded(), original.event.encoded());
    assert!(world.backlog("crm").is_empty());
    assert_eq!(world.journey().1.dead, 1);
}

/// D12: attempts and what became of the delivery when the wall clock jumps by `jump` after the first attempt.
async fn with_a_jump_of(jump: i64) -> (Vec<Duration>, usize) {
    let jumped = Arc::new(AtomicI64::new(0));
    let start = (Instant::now(), Utc::now());
    let clock = jumped.clone();
    let clock = move || start.1 + start.0.elapsed() + chrono::Duration::seconds(clock.load(Ordering::SeqCst));
    let world = World { clock: Clock::new(clock), ..World::new() };
    let platform = Arc::new(Platform::new(move |_, before| {
        jumped.store(jump, Ordering::SeqCst);
        if before < 5 { Reply::Fail(DeliveryError::throttled(secs(10), "busy")) } else { Reply::Take }
    }));
    let retry = RetryPolicy { max_age: secs(600), ..RetryPolicy::default() };
    let running = world.run(vec![hosted("crm", &platform, DestinationSettings { retry, ..settings() })]);
    world.deliver("crm", "k", "1");
    until(secs(600), || !platform.took().is_empty() || !world.dead("crm").is_empty()).await;
    running.stop().await.unwrap();
    let seen = platform.seen();
    (seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect(), world.dead("crm").len())
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_makes_nothing_early_and_nothing_old() {
    for jump in [3600, -3600] {
        let (pauses, dead) = with_a_jump_of(jump).await;
        assert_eq!((pauses.len(), dead), (5, 0));
        assert!(pauses.iter().all(|pause| *pause >= secs(10)), "{pauses:?}");
    }
}
