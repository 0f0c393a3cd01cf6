//! Circuits, holds, probes, and what operators say: nothing is dropped, nothing dead-lettered.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use trunkline_broker::ChannelName;
use trunkline_core::config::{Secret, SecretReference};
use trunkline_core::journey::Step;
use trunkline_core::{DeadLetterReason, RetryPolicy};
use trunkline_store::DestinationStateKind::{Disabled, Held, Open, Paused};

use super::platform::{Platform, Reply};
use super::world::{World, hosted, name, secs, settings, until};
use crate::config::DestinationSettings;
use crate::delivery::Hosted;
use crate::destination::DeliveryError;
use crate::secrets::Secrets;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn refusing() -> Platform {
    Platform::new(|_, _| Reply::Fail(DeliveryError::halted("credentials refused").answered(401, "")))
}

fn in_order(platform: &Platform, count: u32) -> bool {
    platform.took() == (0..count).map(|id| id.to_string()).collect::<Vec<_>>()
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_hold_the_backlog_until_a_probe_succeeds() {
    let world = World::new();
    let platform = Arc::new(refusing());
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    (0..100).for_each(|id| world.deliver("crm", "k", &id.to_string()));
    until(secs(5), || world.states.get(&name("crm")) == Held).await;
    sleep(secs(600)).await;
    let probes = platform.seen().len();
    assert!((10..=12).contains(&probes), "{probes} attempts in 10 minutes of a hold");
    assert_eq!(world.backlog("crm").len(), 100);
    assert!(world.backlog("crm").iter().all(|delivery| delivery.attempt == 0), "a hold costs no attempts");
    let (steps, counts) = world.journey();
    assert_eq!((steps.len(), steps[0].step, counts.held), (1, Step::Held, 1), "one step for the hold");

    platform.turn(|_, _| Reply::Take);
    until(secs(120), || platform.took().len() == 100).await;
    assert!(in_order(&platform, 100));
    until(secs(5), || world.states.get(&name("crm")) == Open).await;
    assert!(running.stop().await.unwrap().settled_all);
    assert!(world.dead("crm").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_not_undone_by_states_read_before_it() {
    let world = World::new();
    let (crm, other) = (Arc::new(refusing()), Arc::new(Platform::healthy()));
    let slow_probe = DestinationSettings { probe_every: DAY, ..settings() };
    let running = world.run(vec![hosted("crm", &crm, slow_probe), hosted("other", &other, settings())]);
    sleep(secs(2)).await;
    // The states are read because of the other destination, and are on their way when this one is held.
    world.states.slow(secs(5));
    world.states.set(&name("other"), Paused);
    sleep(secs(3)).await;
    world.deliver("crm", "k", "0");
    until(secs(30), || world.states.get(&name("crm")) == Held).await;
    sleep(secs(60)).await;
    assert_eq!(crm.seen().len(), 1, "no attempt before the probe");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hold_outlives_a_restart_and_an_operator_ends_it() {
    let world = World::new();
    let platform = Arc::new(refusing());
    let slow_probe = DestinationSettings { probe_every: DAY, ..settings() };
    let running = world.run(vec![hosted("crm", &platform, slow_probe.clone())]);
    (0..10).for_each(|id| world.deliver("crm", "k", &id.to_string()));
    until(secs(5), || world.states.get(&name("crm")) == Held).await;
    assert!(running.stop().await.unwrap().settled_all);
    platform.turn(|_, _| Reply::Take);
    let running = world.run(vec![hosted("crm", &platform, slow_probe)]);
    sleep(secs(3600)).await;
    assert!(platform.took().is_empty());
    world.states.set(&name("crm"), Open);
    until(secs(3), || in_order(&platform, 10)).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_ends_a_hold() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let secrets = Secrets::in_folder(folder.path());
    secrets.read(&Secret::new(SecretReference::File("token".to_owned()))).unwrap();
    let world = World::new();
    let platform = Arc::new(refusing());
    let slow_probe = DestinationSettings { probe_every: DAY, ..settings() };
    let running = world.run(vec![Hosted { secrets, ..hosted("crm", &platform, slow_probe) }]);
    world.deliver("crm", "k", "0");
    until(secs(5), || world.states.get(&name("crm")) == Held).await;
    sleep(secs(60)).await;
    assert_eq!(platform.seen().len(), 1);
    platform.turn(|_, _| Reply::Take);
    std::fs::write(&file, "a new one").unwrap();
    until(secs(5), || in_order(&platform, 1)).await;
    until(secs(5), || world.states.get(&name("crm")) == Open).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_delivery_that_is_refused_does_not_keep_the_others_for_ever() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|delivery, _| match delivery.event.id() {
        "bad" => Reply::Fail(DeliveryError::halted("not for you").answered(403, "")),
        _ => Reply::Take,
    }));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "bad", "bad");
    (0..50).for_each(|id| world.deliver("crm", &id.to_string(), &id.to_string()));
    until(secs(3600), || platform.took().len() == 50).await;
    running.stop().await.unwrap();
    assert_eq!(world.backlog("crm").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_gone_waits_for_an_operator_alone() {
    let world = World::new();
    let platform =
        Arc::new(Platform::new(|_, _| Reply::Fail(DeliveryError::gone("gone for good").answered(410, ""))));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    (0..5).for_each(|id| world.deliver("crm", "k", &id.to_string()));
    until(secs(5), || world.states.get(&name("crm")) == Disabled).await;
    platform.turn(|_, _| Reply::Take);
    sleep(secs(4 * 3600)).await;
    assert_eq!((platform.seen().len(), world.backlog("crm").len()), (1, 5));
    world.states.set(&name("crm"), Open);
    until(secs(3), || in_order(&platform, 5)).await;
    running.stop().await.unwrap();
    assert!(world.dead("crm").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_paused_destination_is_left_alone_and_others_are_not() {
    let world = World::new();
    let (paused, other) = (Arc::new(Platform::healthy()), Arc::new(Platform::healthy()));
    let running = world.run(vec![hosted("paused", &paused, settings()), hosted("other", &other, settings())]);
    world.deliver("paused", "k", "0");
    until(secs(1), || paused.took().len() == 1).await;
    world.states.set(&name("paused"), Paused);
    until(secs(3), || world.engine.is_held(&ChannelName::deliver(&name("paused")))).await;
    for id in 0..10 {
        world.deliver("paused", "k", &id.to_string());
        world.deliver("other", "k", &id.to_string());
    }
    until(secs(1), || in_order(&other, 10)).await;
    sleep(secs(3600)).await;
    assert_eq!(paused.seen().len(), 1);
    world.states.set(&name("paused"), Open);
    until(secs(3), || paused.took().len() == 11).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_any_delivery_may_last_makes_no_dead_letters() {
    let world = World::new();
    let start = Instant::now();
    let outage = secs(4 * 3600);
    let platform = Arc::new(Platform::new(move |_, _| {
        if start.elapsed() < outage { Reply::Fail(DeliveryError::transient("refused")) } else { Reply::Take }
    }));
    let retry = RetryPolicy { max_attempts: 3, max_age: secs(3600), ..RetryPolicy::default() };
    let circuit = DestinationSettings { circuit_failures: 10, retry, ..settings() };
    let running = world.run(vec![hosted("crm", &platform, circuit)]);
    (0..40).for_each(|id| world.deliver("crm", &id.to_string(), &id.to_string()));
    sleep(outage).await;
    let tried = platform.seen().len();
    assert!(tried < 4 * 120 + 100, "one attempt each 30 s: {tried}");
    until(secs(7200), || platform.took().len() == 40).await;
    running.stop().await.unwrap();
    assert!(world.dead("crm").is_empty());
    assert!(world.backlog("crm").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_closes_with_the_first_answer() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, _| Reply::Fail(DeliveryError::transient("refused"))));
    let circuit = DestinationSettings { circuit_failures: 5, concurrency: 1, ..settings() };
    let running = world.run(vec![hosted("crm", &platform, circuit)]);
    (0..50).for_each(|id| world.deliver("crm", &id.to_string(), &id.to_string()));
    sleep(secs(20)).await;
    assert_eq!(platform.seen().len(), 5);
    platform.turn(|delivery, _| match delivery.event.id() {
        "5" => Reply::Fail(DeliveryError::rejected("bad").answered(400, "")),
        _ => Reply::Take,
    });
    until(secs(15), || platform.took().len() >= 40).await;
    until(secs(60), || platform.took().len() == 49).await;
    running.stop().await.unwrap();
    assert_eq!(world.dead("crm")[0].reason, DeadLetterReason::Rejected);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_during_a_trial_keeps_its_place_in_its_key() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|delivery, before| match (delivery.event.id(), before) {
        ("late-1", 0) => Reply::FailAfter(secs(3), DeliveryError::halted("no").answered(401, "")),
        ("quick", 0) => Reply::Fail(DeliveryError::halted("no").answered(401, "")),
        ("quick", 1) => Reply::TakeAfter(secs(5)),
        _ => Reply::Take,
    }));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    for (key, id) in [("late", "late-1"), ("late", "late-2"), ("quick", "quick")] {
        world.deliver("crm", key, id);
    }
    until(secs(1), || world.engine.is_held(&ChannelName::deliver(&name("crm")))).await;
    // Another time-out is a change, after which one delivery tries at once.
    let changed = DestinationSettings { timeout: secs(31), ..settings() };
    running.handle.replace(vec![hosted("crm", &platform, changed)]).await.unwrap();
    until(secs(60), || platform.took().len() == 3).await;
    running.stop().await.unwrap();
    assert_eq!(platform.took(), ["quick", "late-1", "late-2"]);
}
