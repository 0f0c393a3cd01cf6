//! Order, concurrency, rate, and destinations that do not disturb each other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::platform::{Platform, Reply};
use super::world::{World, hosted, secs, settings, until};
use crate::config::{DestinationSettings, Ordering, RateLimit};
use crate::destination::DeliveryError;

/// A time between 0 and 40 ms that depends on the id alone.
fn some_time(id: &str) -> Duration {
    Duration::from_millis(id.bytes().map(u64::from).sum::<u64>() * 7 % 40)
}

fn by_key(platform: &Platform) -> BTreeMap<String, Vec<u32>> {
    let mut keys: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for seen in platform.seen() {
        keys.entry(seen.key).or_default().push(seen.id.parse().unwrap());
    }
    keys
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_key_keep_their_order_and_go_one_at_a_time() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|delivery, _| Reply::TakeAfter(some_time(delivery.event.id()))));
    let running =
        world.run(vec![hosted("crm", &platform, DestinationSettings { concurrency: 4, ..settings() })]);
    for id in 0..400_u32 {
        world.deliver("crm", &format!("k{}", id % 7), &id.to_string());
    }
    until(secs(60), || platform.took().len() == 400).await;
    for (key, ids) in by_key(&platform) {
        assert!(ids.is_sorted(), "{key}: {ids:?}");
    }
    assert_eq!(platform.most(), 4);
    assert!(running.stop().await.unwrap().settled_all);
    assert!(world.backlog("crm").is_empty());
    let (steps, counts) = world.journey();
    assert_eq!((steps.len(), counts.attempts, counts.delivered, counts.dead), (400, 400, 400, 0));
}

#[tokio::test(start_paused = true)]
async fn one_key_has_one_delivery_under_way_whatever_the_concurrency() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, _| Reply::TakeAfter(Duration::from_millis(10))));
    let _running = world.run(vec![hosted("crm", &platform, settings())]);
    (0..50).for_each(|id| world.deliver("crm", "same", &id.to_string()));
    until(secs(5), || platform.took().len() == 50).await;
    assert_eq!(platform.most(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_order_one_key_uses_the_whole_concurrency() {
    let world = World::new();
    let platform = Arc::new(Platform::new(|_, _| Reply::TakeAfter(secs(1))));
    let unordered = DestinationSettings { ordering: Ordering::None, concurrency: 5, ..settings() };
    let _running = world.run(vec![hosted("crm", &platform, unordered)]);
    (0..20).for_each(|id| world.deliver("crm", "same", &id.to_string()));
    let took = until(secs(10), || platform.took().len() == 20).await;
    assert_eq!(platform.most(), 5);
    assert!(took < secs(5), "{took:?}");
}

/// D1: one destination of twenty hangs; how long do the others take?
async fn others_take(hanging: bool) -> Duration {
    let world = World::new();
    let platforms: Vec<_> = (0..20)
        .map(|number| {
            let hangs = hanging && number == 0;
            Arc::new(Platform::new(move |_, _| {
                if hangs { Reply::Hang } else { Reply::TakeAfter(Duration::from_millis(20)) }
            }))
        })
        .collect();
    let destinations = platforms.iter().enumerate();
    let destinations =
        destinations.map(|(number, platform)| hosted(&format!("d{number}"), platform, settings()));
    let _running = world.run(destinations.collect());
    for id in 0..300 {
        (0..20).for_each(|number| world.deliver(&format!("d{number}"), &id.to_string(), &id.to_string()));
    }
    let took = until(secs(60), || platforms[1..].iter().all(|platform| platform.took().len() == 300)).await;
    assert_eq!(platforms[0].took().is_empty(), hanging);
    took
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_hangs_slows_no_other() {
    let (without, with) = (others_take(false).await, others_take(true).await);
    assert!(with.as_secs_f64() <= without.as_secs_f64() / 0.95, "{without:?} without, {with:?} with");
}

/// D2: how long the deliveries of other keys take while one key's first fails five times.
async fn other_keys_take(failing: bool) -> (Duration, Arc<Platform>) {
    let world = World::new();
    let platform = Arc::new(Platform::new(move |delivery, before| match delivery.event.id() {
        "bad" if failing && before < 5 => Reply::Fail(DeliveryError::transient("not yet")),
        _ => Reply::TakeAfter(Duration::from_millis(10)),
    }));
    let _running = world.run(vec![hosted("crm", &platform, settings())]);
    world.deliver("crm", "bad", "bad");
    for id in 0..500 {
        world.deliver("crm", &format!("k{}", id % 50), &id.to_string());
    }
    let took = until(secs(60), || platform.took().iter().filter(|id| *id != "bad").count() == 500).await;
    until(secs(120), || platform.took().contains(&"bad".to_owned())).await;
    (took, platform)
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_delays_no_other_key() {
    let ((without, _), (with, platform)) = (other_keys_take(false).await, other_keys_take(true).await);
    assert!(with.as_secs_f64() <= without.as_secs_f64() * 1.1, "{without:?} without, {with:?} with");
    assert_eq!(platform.seen().iter().filter(|seen| seen.id == "bad").count(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_is_kept_in_every_window_and_used() {
    let world = World::new();
    let limited = Arc::new(Platform::healthy());
    let free = Arc::new(Platform::healthy());
    let rate_limit = Some(RateLimit { count: 10, per: secs(1) });
    let limit = DestinationSettings { rate_limit, ..settings() };
    let _running = world.run(vec![hosted("limited", &limited, limit), hosted("free", &free, settings())]);
    for id in 0..60 {
        world.deliver("limited", &id.to_string(), &id.to_string());
        world.deliver("free", &id.to_string(), &id.to_string());
    }
    let free_took = until(secs(60), || free.took().len() == 60).await;
    assert!(free_took < secs(1), "{free_took:?}");
    until(secs(60), || limited.took().len() == 60).await;
    let times: Vec<Instant> = limited.seen().iter().map(|seen| seen.at).collect();
    assert!(times.windows(11).all(|window| window[10] - window[0] >= secs(1)));
    assert!(times[59] - times[0] < secs(7), "{:?}", times[59] - times[0]);
}
