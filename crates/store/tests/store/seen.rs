//! The window of seen ids.

use trunkline_store::EventId;

use crate::{Fixture, at};

on_each_database! {
    an_id_is_seen_inside_the_window_only,
    many_writers_and_readers_at_once_neither_fail_nor_wait_for_ever,
}

fn ids(range: std::ops::Range<u32>) -> Vec<EventId> {
    range.map(|n| EventId { source: "shop".to_owned(), id: format!("order-{n}") }).collect()
}

async fn an_id_is_seen_inside_the_window_only(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    // More than one statement takes, and every id twice.
    let mut marked = ids(0..450);
    marked.extend(ids(0..450));
    store.mark_seen(&marked, at(0)).await.unwrap();
    store.mark_seen(&ids(0..10), at(100)).await.unwrap();

    let seen = store.seen(&ids(5..460), at(0)).await.unwrap();
    assert!(seen[..445].iter().all(|seen| *seen) && !seen[445..].iter().any(|seen| *seen));
    let seen = store.seen(&ids(5..15), at(50)).await.unwrap();
    assert_eq!(seen, [true, true, true, true, true, false, false, false, false, false]);
    let other = EventId { source: "other".to_owned(), id: "order-1".to_owned() };
    assert_eq!(store.seen(&[other], at(0)).await.unwrap(), [false]);
    assert!(store.seen(&[], at(0)).await.unwrap().is_empty());
    // Longer than PostgreSQL can have in an index.
    let long =
        |end: &str| EventId { source: "s".repeat(5000), id: format!("{}{end}", "\u{e9}".repeat(5000)) };
    store.mark_seen(&[long("1")], at(100)).await.unwrap();
    assert_eq!(store.seen(&[long("1"), long("2")], at(100)).await.unwrap(), [true, false]);

    assert_eq!(store.prune_seen(at(50), 400).await.unwrap(), 400);
    assert_eq!(store.prune_seen(at(50), 400).await.unwrap(), 40);
    let kept = store.seen(&ids(0..450), at(0)).await.unwrap();
    assert_eq!(kept.iter().filter(|seen| **seen).count(), 10);
}

async fn many_writers_and_readers_at_once_neither_fail_nor_wait_for_ever(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let ids = ids(task * 20..task * 20 + 20);
                store.mark_seen(&ids, at(0)).await.unwrap();
                assert!(store.seen(&ids, at(0)).await.unwrap().iter().all(|seen| *seen));
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
