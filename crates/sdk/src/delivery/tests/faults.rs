//! What breaks around the runtime: the broker, the store, the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use trunkline_broker::{ChannelName, ConsumeError, Intaken};
use trunkline_store::DestinationStateKind::{Held, Open, Paused};

use super::engine::{Trouble, lease};
use super::platform::{Platform, Reply};
use super::world::{GRACE, World, attempts, hosted, name, secs, settings, until};
use crate::delivery::RuntimeError;
use crate::destination::DeliveryError;

fn distinct(ids: &[String]) -> usize {
    ids.iter().collect::<std::collections::BTreeSet<_>>().len()
}

/// D5.
#[tokio::test(start_paused = true)]
async fn a_kill_between_the_answer_and_the_settlement_costs_one_duplicate_with_the_same_id() {
    let world = World::new();
    let platform = Arc::new(Platform::healthy());
    world.engine.trouble(Trouble { slow: secs(5), ..Trouble::default() });
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "k", "1");
    until(secs(1), || platform.took().len() == 1).await;
    running.kill().await;
    world.engine.trouble(Trouble::default());
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    until(secs(1), || platform.took().len() == 2).await;
    assert!(running.stop().await.unwrap().settled_all);
    assert_eq!(platform.took(), ["1", "1"]);
    assert!(world.backlog("crm").is_empty());
}

/// D8.
#[tokio::test(start_paused = true)]
async fn while_dead_letters_can_not_be_stored_nothing_is_settled_and_nothing_lost() {
    let world = World::new();
    let platform =
        Arc::new(Platform::new(|_, _| Reply::Fail(DeliveryError::rejected("no").answered(400, ""))));
    let dead = Some(ChannelName::dead(&name("crm")));
    world.engine.trouble(Trouble { missing: dead, ..Trouble::default() });
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    (0..30).for_each(|id| world.deliver("crm", &id.to_string(), &id.to_string()));
    sleep(secs(120)).await;
    assert_eq!((world.backlog("crm").len(), world.dead("crm").len()), (30, 0));
    world.engine.trouble(Trouble::default());
    until(secs(10), || world.dead("crm").len() == 30).await;
    assert!(running.stop().await.unwrap().settled_all);
    assert!(world.backlog("crm").is_empty());
    assert_eq!(platform.seen().len(), 30, "none was attempted twice");
}

/// An engine without transactions stores what it can of a hand-over. None of that is made again, and all that has its
/// consequence is settled.
#[tokio::test(start_paused = true)]
async fn while_there_is_no_room_for_dead_letters_all_else_is_settled_once() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|delivery, before| match (delivery.event.id(), before) {
        (id, _) if id.starts_with("dead") => Reply::Fail(DeliveryError::rejected("no").answered(400, "")),
        (id, 0) if id.starts_with("again") => Reply::Fail(DeliveryError::transient("later")),
        _ => Reply::Take,
    }));
    let dead = Some(ChannelName::dead(&name("crm")));
    world.engine.trouble(Trouble { full: dead, ..Trouble::default() });
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    for number in 0..10 {
        for kind in ["dead", "again", "good"] {
            let id = format!("{kind}-{number}");
            world.deliver("crm", &id, &id);
        }
    }
    sleep(secs(120)).await;
    assert_eq!((world.backlog("crm").len(), world.dead("crm").len()), (10, 0), "only the dead ones wait");
    let again = platform.seen().iter().filter(|seen| seen.id.starts_with("again")).count();
    assert_eq!((platform.took().len(), again), (20, 20), "what waits for its next attempt is there once");
    world.engine.trouble(Trouble::default());
    until(secs(10), || world.dead("crm").len() == 10).await;
    assert!(running.stop().await.unwrap().settled_all);
    assert!(world.backlog("crm").is_empty());
    assert_eq!(platform.seen().len(), 40, "none was attempted twice but those that failed");
    let (steps, counts) = world.journey();
    assert_eq!((steps.len(), counts.attempts, counts.delivered, counts.dead), (40, 40, 20, 10));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_gone_for_a_while_costs_nothing() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|delivery, before| {
        let id: usize = delivery.event.id().parse().unwrap();
        if before < id % 3 { Reply::Fail(DeliveryError::transient("busy")) } else { Reply::Take }
    }));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.engine.trouble(Trouble { unavailable: true, ..Trouble::default() });
    (0..200).for_each(|id| world.deliver("crm", &id.to_string(), &id.to_string()));
    sleep(secs(60)).await;
    world.engine.trouble(Trouble::default());
    until(secs(120), || world.backlog("crm").is_empty()).await;
    assert!(running.stop().await.unwrap().settled_all);
    let took = platform.took();
    assert_eq!((distinct(&took), took.len()), (200, 200));
}

/// D9.
#[tokio::test(start_paused = true)]
async fn a_stop_under_load_loses_and_duplicates_nothing() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, _| Reply::TakeAfter(Duration::from_millis(300))));
    (0..500).for_each(|id| world.deliver("crm", &format!("k{}", id % 40), &id.to_string()));
    for stop_after in [100, 450, 1000] {
        let running = world.run(vec![hosted("crm", &platform, settings())]);
        sleep(Duration::from_millis(stop_after)).await;
        assert!(running.stop().await.unwrap().settled_all);
        assert_eq!(platform.under_way(), 0);
        assert_eq!(world.backlog("crm").len() + platform.took().len(), 500);
    }
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    until(secs(60), || platform.took().len() == 500).await;
    assert!(running.stop().await.unwrap().settled_all);
    assert_eq!(distinct(&platform.took()), 500);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_longer_than_the_grace_period_is_given_back() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, _| Reply::Hang));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "k", "1");
    until(secs(1), || platform.under_way() == 1).await;
    let began = tokio::time::Instant::now();
    assert!(!running.stop().await.unwrap().settled_all);
    assert!(began.elapsed() < GRACE + secs(1));
    assert_eq!((world.backlog("crm").len(), platform.under_way()), (1, 0));
    assert_eq!(world.engine.out(&ChannelName::deliver(&name("crm"))), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_ends_what_was_not_begun_and_settles_nothing_later() {
    let world = World::new();
    let channel = ChannelName::deliver(&name("crm"));
    let platform = Arc::new(Platform::new(|_, _| Reply::TakeAfter(secs(2))));
    world.engine.tell(Ok(Intaken::Assigned(lease(&channel))));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    (0..3).for_each(|id| world.deliver("crm", "k", &id.to_string()));
    until(secs(1), || platform.under_way() == 1).await;
    world.engine.trouble(Trouble { unavailable: true, ..Trouble::default() });
    sleep(secs(5)).await;
    world.engine.tell(Ok(Intaken::Lost(lease(&channel))));
    // What could not be settled before is another's now; here the same runtime gets it again.
    until(secs(30), || platform.took().iter().filter(|id| *id == "0").count() == 2).await;
    world.engine.trouble(Trouble::default());
    until(secs(60), || world.backlog("crm").is_empty()).await;
    assert!(running.stop().await.unwrap().settled_all);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_whose_place_was_taken_ends() {
    let world = World::new();
    let platform = Arc::new(Platform::healthy());
    world.engine.trouble(Trouble { fenced: true, ..Trouble::default() });
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "k", "1");
    assert!(matches!(running.end().await, Err(RuntimeError::Fenced)));
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    world.engine.tell(Err(ConsumeError::Fenced));
    assert!(matches!(running.end().await, Err(RuntimeError::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_channel_stops_its_own_destination_only() {
    let world = World::new();
    let (whole, damaged) = (Arc::new(Platform::healthy()), Arc::new(Platform::healthy()));
    let running =
        world.run(vec![hosted("whole", &whole, settings()), hosted("damaged", &damaged, settings())]);
    let channel = ChannelName::deliver(&name("damaged"));
    world.engine.tell(Err(ConsumeError::Damaged { channel, detail: "a flipped bit".to_owned() }));
    sleep(secs(1)).await;
    world.deliver("whole", "k", "1");
    world.deliver("damaged", "k", "1");
    until(secs(1), || whole.took().len() == 1).await;
    assert_eq!((damaged.seen().len(), world.backlog("damaged").len()), (0, 1));
    assert!(running.stop().await.unwrap().settled_all);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_deliveries_go_on_and_states_are_written_later() {
    let world = World::new();
    let platform = Arc::new(Platform::healthy());
    let running = world.run(vec![hosted("crm", &platform, attempts(3))]);
    until(secs(1), || running.handle.is_taking()).await;
    world.states.gone(true);
    world.deliver("crm", "k", "0");
    until(secs(1), || platform.took().len() == 1).await;
    platform.turn(|_, _| Reply::Fail(DeliveryError::halted("no").answered(401, "")));
    world.deliver("crm", "k", "1");
    sleep(secs(20)).await;
    assert!(world.engine.is_held(&ChannelName::deliver(&name("crm"))));
    assert_eq!(world.states.get(&name("crm")), Open);
    world.states.gone(false);
    until(secs(3), || world.states.get(&name("crm")) == Held).await;
    running.stop().await.unwrap();
    assert_eq!(platform.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_nothing_starts_that_might_be_paused() {
    let world = World::new();
    let platform = Arc::new(Platform::healthy());
    world.states.set(&name("crm"), Paused);
    world.states.gone(true);
    world.deliver("crm", "k", "1");
    let running = world.run(vec![hosted("crm", &platform, settings())]);
    assert!(matches!(running.end().await, Err(RuntimeError::States(_))));
    assert!(platform.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_one_destination_that_can_not_be_stored_stop_no_other() {
    let world = World::new();
    let good = Arc::new(Platform::healthy());
    let bad = Arc::new(Platform::new(|_, _| Reply::Fail(DeliveryError::rejected("no").answered(400, ""))));
    let missing = Some(ChannelName::dead(&name("bad")));
    world.engine.trouble(Trouble { missing, ..Trouble::default() });
    let running = world.run(vec![hosted("good", &good, settings()), hosted("bad", &bad, settings())]);
    for id in 0..40 {
        world.deliver("bad", &id.to_string(), &id.to_string());
        (0..50).for_each(|key| world.deliver("good", &key.to_string(), &format!("{id}-{key}")));
    }
    until(secs(5), || world.backlog("good").is_empty()).await;
    assert_eq!((good.took().len(), world.backlog("bad").len()), (2000, 40));
    world.engine.trouble(Trouble::default());
    until(secs(10), || world.dead("bad").len() == 40).await;
    assert!(running.stop().await.unwrap().settled_all);
    assert_eq!((world.journey().1.delivered, world.journey().1.dead), (2000, 40));
}
