//! Taking journeys in and asking them.

use std::time::Duration;

use trunkline_core::FailureClass;
use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_store::{EventFilter, JourneyEntry};

use crate::{Fixture, at, delivery};

on_each_database! {
    a_record_counts_once_in_whatever_order_it_comes,
    steps_read_back_as_they_were,
    events_are_found_by_the_beginning_of_their_id,
    pruning_forgets_steps_but_no_counts,
}

fn entry(offset: i64, time: i64, steps: Vec<JourneyStep>, counts: JourneyCounts) -> JourneyEntry {
    let (instance, service) = ("one".to_owned(), "dispatcher".to_owned());
    let record = JourneyRecord { instance, service, time: at(time), steps, counts };
    JourneyEntry { partition: 3, offset, record }
}

fn step(step: Step, id: &str, time: i64) -> JourneyStep {
    JourneyStep::of_delivery(step, &delivery(id, "crm", 0), at(time))
}

fn attempts(attempts: u64) -> JourneyCounts {
    JourneyCounts { attempts, ..JourneyCounts::default() }
}

async fn a_record_counts_once_in_whatever_order_it_comes(fixture: Fixture) {
    let entries: Vec<_> =
        (0..4).map(|n| entry(n, n, vec![step(Step::Attempt, "1", n)], attempts(1 << n))).collect();
    let order = [&entries[2..], &entries[..1], &entries[..]].map(<[JourneyEntry]>::to_vec);
    for batch in &order {
        fixture.store.insert_journey(batch).await.unwrap();
    }
    let fixture = fixture.reopened().await;
    fixture.store.insert_journey(&entries).await.unwrap();
    assert_eq!(fixture.store.account().await.unwrap().attempts, 15);
    let times: Vec<_> = fixture.store.journey("shop", "1").await.unwrap().iter().map(|s| s.time).collect();
    assert_eq!(times, [at(0), at(1), at(2), at(3)]);

    // A broker made anew begins at the same offsets, at another time.
    fixture.store.insert_journey(&[entry(0, 100, vec![], attempts(16))]).await.unwrap();
    assert_eq!(fixture.store.account().await.unwrap().attempts, 31);
}

async fn steps_read_back_as_they_were(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let mut throttled = step(Step::Attempt, "1", 1);
    throttled.class = Some(FailureClass::Throttled { retry_after: Duration::from_millis(1500) });
    throttled.status = Some(429);
    throttled.detail = "'; DELETE FROM journey_steps; --".to_owned();
    let mut dead = step(Step::Dead, "1", 2);
    dead.class = Some(FailureClass::Rejected);
    dead.dead_letter_id = "0123".to_owned();
    let other = step(Step::Filtered, "2", 1);
    let steps = vec![dead.clone(), throttled.clone(), other];
    store.insert_journey(&[entry(0, 3, steps, attempts(1))]).await.unwrap();
    assert_eq!(store.journey("shop", "1").await.unwrap(), [throttled, dead]);
    assert!(store.journey("other", "1").await.unwrap().is_empty());
}

async fn events_are_found_by_the_beginning_of_their_id(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let mut steps: Vec<_> =
        ["ab1", "ab2", "a%", "b"].iter().zip(0..).map(|(id, time)| step(Step::Accepted, id, time)).collect();
    steps.push(step(Step::Delivered, "ab1", 9));
    steps.push(JourneyStep::new(Step::Undecodable, at(5)));
    store.insert_journey(&[entry(0, 10, steps, attempts(0))]).await.unwrap();
    let ids = |filter: EventFilter| {
        let store = store.clone();
        async move {
            let events = store.find_events(&filter, 10).await.unwrap();
            events.into_iter().map(|event| (event.id, event.last_step)).collect::<Vec<_>>()
        }
    };
    let prefix = |prefix: &str| EventFilter { id_prefix: Some(prefix.to_owned()), ..EventFilter::default() };
    let named = |id: &str, step| (id.to_owned(), step);
    let ab = [named("ab1", Step::Delivered), named("ab2", Step::Accepted)];
    assert_eq!(ids(prefix("ab")).await, ab);
    assert_eq!(ids(prefix("a%")).await, [named("a%", Step::Accepted)]);
    // Longer than PostgreSQL can have in an index.
    let long = |end: &str| format!("{}{end}", "\u{e9}".repeat(5000));
    let steps = ["1", "2"].map(|end| step(Step::Accepted, &long(end), 5)).to_vec();
    store.insert_journey(&[entry(1, 11, steps, attempts(0))]).await.unwrap();
    assert_eq!(ids(prefix(&long("1"))).await, [named(&long("1"), Step::Accepted)]);
    assert_eq!(ids(prefix(&long(""))).await.len(), 2);
    assert_eq!(store.journey("shop", &long("2")).await.unwrap().len(), 1);
    store.insert_dead_letters(&[crate::dead(&long("1"), "crm", 0, at(1))]).await.unwrap();
    assert_eq!(ids(prefix("")).await.len(), 6);
    let whole = EventFilter { id: Some("b".to_owned()), ..EventFilter::default() };
    assert_eq!(ids(whole).await, [named("b", Step::Accepted)]);
    let half = EventFilter { id: Some("ab".to_owned()), ..EventFilter::default() };
    assert_eq!(ids(half).await, []);
    let kind = EventFilter { kind: Some("commerce.order.created".to_owned()), ..EventFilter::default() };
    assert_eq!(ids(kind).await.len(), 6);
    let window = EventFilter { since: Some(at(1)), until: Some(at(3)), ..EventFilter::default() };
    assert_eq!(ids(window).await.len(), 2);
}

async fn pruning_forgets_steps_but_no_counts(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    for n in 0..6 {
        let steps = vec![step(Step::Attempt, "1", n)];
        store.insert_journey(&[entry(n, n, steps, attempts(1))]).await.unwrap();
    }
    assert_eq!(store.prune_journeys(at(4), 3).await.unwrap(), 3);
    assert_eq!(store.prune_journeys(at(4), 3).await.unwrap(), 1);
    assert_eq!(store.journey("shop", "1").await.unwrap().len(), 2);
    assert_eq!(store.account().await.unwrap().attempts, 6);
}
