//! Forgetting settled dead letters.

use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_store::{DeadLetterFilter, ItemOutcome, JourneyEntry, NewReplay, Store};

use crate::{Fixture, at, dead, delivery, webhook};

on_each_database! {
    what_is_settled_goes_and_the_account_stays,
    a_replay_keeps_its_dead_letters_until_it_goes,
}

fn replay(id: &str, destination: &str) -> NewReplay {
    NewReplay {
        id: id.to_owned(),
        destination: destination.to_owned(),
        filter: DeadLetterFilter::default(),
        by: "ann".to_owned(),
        forced: false,
        as_it_was: false,
        rate: None,
    }
}

/// Makes a replay of one dead letter and sends it.
async fn replayed(store: &Store, id: &str, destination: &str, time: i64) {
    store.create_replay(&replay(id, destination), &[id.to_owned()], 5, at(time)).await.unwrap();
    store.mark_items(id, &[(0, ItemOutcome::Sent)], at(time)).await.unwrap();
}

async fn delivered(store: &Store, event: &str, time: i64) {
    let step = JourneyStep::of_delivery(Step::Delivered, &delivery(event, "crm", 1), at(time));
    let record = JourneyRecord {
        instance: "one".to_owned(),
        service: "dispatcher".to_owned(),
        time: at(time),
        steps: vec![step],
        counts: JourneyCounts { delivered: 1, ..JourneyCounts::default() },
    };
    store.insert_journey(&[JourneyEntry { partition: 0, offset: time, record }]).await.unwrap();
}

async fn left(store: &Store) -> u64 {
    store.count_dead_letters(&DeadLetterFilter::default()).await.unwrap()
}

async fn what_is_settled_goes_and_the_account_stays(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let letters: Vec<_> = (0..5).map(|n| dead(&n.to_string(), "crm", 0, at(n))).collect();
    let ids: Vec<_> = letters.iter().map(|(_, letter)| letter.id()).collect();
    store.insert_dead_letters(&letters).await.unwrap();
    let hook = webhook(b"{}", at(1));
    let hook_id = hook.1.id();
    store.insert_dead_letters(&[hook]).await.unwrap();
    // 0 and the webhook are delivered, 1 dies again, 2 is discarded early and 3 late, 4 waits.
    replayed(&store, &ids[0], "crm", 10).await;
    delivered(&store, "0", 20).await;
    replayed(&store, &hook_id, "gateway", 10).await;
    replayed(&store, &ids[1], "crm", 10).await;
    store.insert_dead_letters(&[dead("1", "crm", 1, at(20))]).await.unwrap();
    for (id, time) in [(&ids[2], 20), (&ids[3], 40)] {
        let filter = DeadLetterFilter::ids(vec![id.clone()]);
        store.discard_dead_letters(&filter, "test", "ann", at(time)).await.unwrap();
    }
    let account = store.account().await.unwrap();
    assert_eq!((account.delivered, account.discarded, account.dead), (1, 2, 2));

    assert_eq!(store.prune_settled(at(5), 100).await.unwrap(), 0);
    // The replays ended, but not everything that they sent was settled: only what nothing happened to since goes.
    let mut rows = 0;
    for _ in 0..10 {
        rows += store.prune_settled(at(30), 1).await.unwrap();
    }
    // Three replays of one item each, and four dead letters.
    assert_eq!(rows, 2 * 3 + 4);
    assert_eq!(left(&store).await, 3);
    assert_eq!(store.account().await.unwrap(), account);
    assert!(store.dead_letter(&ids[0]).await.unwrap().is_none());
    assert!(store.replay(&ids[0]).await.unwrap().is_none());
    assert!(store.prune_settled(at(100), 100).await.unwrap() > 0);
    assert_eq!(left(&store).await, 2, "what waits is never forgotten");
    assert_eq!(store.account().await.unwrap(), account);
}

async fn a_replay_keeps_its_dead_letters_until_it_goes(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let letters = [dead("0", "crm", 0, at(0)), dead("1", "crm", 0, at(1))];
    let ids: Vec<_> = letters.iter().map(|(_, letter)| letter.id()).collect();
    store.insert_dead_letters(&letters).await.unwrap();
    store.create_replay(&replay("r", "crm"), &ids, 5, at(10)).await.unwrap();
    store.mark_items("r", &[(0, ItemOutcome::Sent)], at(11)).await.unwrap();
    delivered(&store, "0", 12).await;
    let progress = store.replay_progress("r").await.unwrap();
    assert_eq!(store.prune_settled(at(1000), 100).await.unwrap(), 0);
    assert_eq!(store.replay_progress("r").await.unwrap(), progress);
    assert_eq!(store.cancel_replay("r", "ann", at(2000)).await.unwrap(), Some(1));
    assert_eq!(store.prune_settled(at(1000), 100).await.unwrap(), 0);
    // The replay with both its items, the dead letter that was delivered; the other waits again.
    assert_eq!(store.prune_settled(at(3000), 100).await.unwrap(), 4);
    assert_eq!(left(&store).await, 1);
    assert!(store.replay("r").await.unwrap().is_none());
}
