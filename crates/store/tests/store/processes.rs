//! Several processes at one store: nothing is done twice, nothing is lost, nobody waits for ever. On SQLite the same is
//! tried within the one process that it has.

use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_store::{
    DeadLetterFilter, DeadLetterState, DestinationState, EventId, ItemOutcome, JourneyEntry, NewReplay, Page,
    ReplayState, Store,
};

use crate::{Fixture, at, dead, delivery};

on_each_database! {
    gateways_share_the_window_of_seen_ids,
    what_one_dispatcher_holds_the_others_see,
    consoles_that_are_handed_the_same_dead_letters_store_each_once,
    lives_stored_at_once_by_different_consoles_leave_one_that_stands,
    consoles_that_are_handed_the_same_journeys_count_each_once,
    replays_made_at_once_share_no_dead_letter,
    consoles_that_work_at_once_send_each_item_once,
    consoles_that_prune_at_once_keep_the_account,
}

#[tokio::test]
async fn a_console_of_the_same_name_is_another_one() {
    let Some(fixture) = Fixture::postgres("a_console_of_the_same_name_is_another_one").await else { return };
    let (channel, letter) = dead("1", "crm", 0, at(0));
    let id = letter.id();
    fixture.store.insert_dead_letters(&[(channel, letter)]).await.unwrap();
    fixture.store.create_replay(&replay("r"), &[id], 5, at(1)).await.unwrap();
    assert!(fixture.store.claim_replay("r", "one", at(60), at(1)).await.unwrap());
    let other = fixture.another().await;
    assert!(!other.claim_replay("r", "one", at(70), at(10)).await.unwrap());
    assert!(fixture.store.claim_replay("r", "one", at(60), at(20)).await.unwrap());
    assert!(other.claim_replay("r", "one", at(200), at(61)).await.unwrap());
}

/// Runs `work` at once in `number` processes and waits for all of them.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    fixture: &Fixture,
    number: usize,
    work: impl Fn(usize, Store) -> F,
) -> Vec<T> {
    let mut tasks = Vec::new();
    for process in 0..number {
        tasks.push(tokio::spawn(work(process, fixture.another().await)));
    }
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

async fn gateways_share_the_window_of_seen_ids(fixture: Fixture) {
    let ids = |range: std::ops::Range<usize>| {
        range.map(|n| EventId { source: "shop".to_owned(), id: format!("order-{n}") }).collect::<Vec<_>>()
    };
    // Each marks what its neighbours mark too, in its own order, again and again.
    at_once(&fixture, 4, |process, store| async move {
        for round in 0..10 {
            let mut ids = ids(process * 20..process * 20 + 60);
            if process % 2 == 0 {
                ids.reverse();
            }
            store.mark_seen(&ids, at(round)).await.unwrap();
            store.prune_seen(at(round - 3), 50).await.unwrap();
        }
    })
    .await;
    let seen = fixture.another().await.seen(&ids(0..130), at(9)).await.unwrap();
    assert_eq!(seen.iter().filter(|seen| **seen).count(), 120);
}

async fn what_one_dispatcher_holds_the_others_see(fixture: Fixture) {
    let other = fixture.another().await;
    let before = other.states_revision().await.unwrap();
    let won = at_once(&fixture, 4, |process, store| async move {
        store.hold_if_open("crm", "status 401", Some(at(60)), &format!("i{process}"), at(1)).await.unwrap()
    });
    assert_eq!(won.await.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(other.states_revision().await.unwrap(), before + 1);
    let held =
        DestinationState::Held { reason: "status 401".to_owned(), since: at(1), probe_after: Some(at(60)) };
    assert_eq!(other.destination_state("crm").await.unwrap(), held);
    // Changes to different destinations at once are all counted.
    at_once(&fixture, 4, |process, store| async move {
        let paused = DestinationState::Paused {
            by: "ann".to_owned(),
            reason: "their release".to_owned(),
            since: at(2),
        };
        for n in 0..5 {
            let name = format!("d{}", (n + process) % 5);
            store.set_destination_state(&name, &paused, "ann", at(2)).await.unwrap();
        }
    })
    .await;
    assert_eq!(other.states_revision().await.unwrap(), before + 21);
}

async fn consoles_that_are_handed_the_same_dead_letters_store_each_once(fixture: Fixture) {
    at_once(&fixture, 4, |process, store| async move {
        let mut letters: Vec<_> = (0..20).map(|n| dead(&n.to_string(), "crm", 0, at(n))).collect();
        letters.rotate_left(process * 5);
        store.insert_dead_letters(&letters).await.unwrap();
    })
    .await;
    assert_eq!(fixture.store.count_dead_letters(&DeadLetterFilter::default()).await.unwrap(), 20);
    assert_eq!(fixture.store.account().await.unwrap().dead, 20);
}

async fn lives_stored_at_once_by_different_consoles_leave_one_that_stands(fixture: Fixture) {
    at_once(&fixture, 4, |process, store| async move {
        for event in 0..10 {
            let generation = u32::try_from(process).unwrap();
            store.insert_dead_letters(&[dead(&event.to_string(), "crm", generation, at(0))]).await.unwrap();
        }
    })
    .await;
    let page = Page::first(100);
    let all = fixture.store.list_dead_letters(&DeadLetterFilter::default(), &page).await.unwrap().items;
    assert_eq!(all.len(), 40);
    let standing: Vec<_> = all.iter().filter(|letter| letter.state == DeadLetterState::Waiting).collect();
    assert_eq!(standing.len(), 10);
    assert!(standing.iter().all(|letter| letter.generation == 3));
}

async fn consoles_that_are_handed_the_same_journeys_count_each_once(fixture: Fixture) {
    let entries: Vec<_> = (0..24)
        .map(|offset| {
            let service =
                ["gateway", "router", "dispatcher"][usize::try_from(offset).unwrap() % 3].to_owned();
            let steps = vec![JourneyStep::of_delivery(Step::Attempt, &delivery("1", "crm", 0), at(offset))];
            let counts = JourneyCounts { attempts: 1 << offset, ..JourneyCounts::default() };
            let record =
                JourneyRecord { instance: "one".to_owned(), service, time: at(offset), steps, counts };
            JourneyEntry { partition: 3, offset, record }
        })
        .collect();
    at_once(&fixture, 4, |process, store| {
        let mut entries = entries.clone();
        entries.rotate_left(process * 6);
        async move {
            for batch in entries.chunks(5) {
                store.insert_journey(batch).await.unwrap();
            }
        }
    })
    .await;
    assert_eq!(fixture.store.account().await.unwrap().attempts, (1 << 24) - 1);
    assert_eq!(fixture.store.journey("shop", "1").await.unwrap().len(), 24);
}

fn replay(id: &str) -> NewReplay {
    NewReplay {
        id: id.to_owned(),
        destination: "crm".to_owned(),
        filter: DeadLetterFilter::default(),
        by: "ann".to_owned(),
        forced: false,
        as_it_was: false,
        rate: None,
    }
}

async fn replays_made_at_once_share_no_dead_letter(fixture: Fixture) {
    let letters: Vec<_> = (0..40).map(|n| dead(&n.to_string(), "crm", 0, at(n))).collect();
    fixture.store.insert_dead_letters(&letters).await.unwrap();
    let discarded = at_once(&fixture, 4, |process, store| async move {
        let selection = store.select_for_replay(&DeadLetterFilter::default(), false, 5).await.unwrap();
        if process == 0 {
            let ids = DeadLetterFilter::ids(selection.eligible.into_iter().take(10).collect());
            return store.discard_dead_letters(&ids, "test", "ann", at(50)).await.unwrap().len() as u64;
        }
        store.create_replay(&replay(&format!("r{process}")), &selection.eligible, 5, at(50)).await.unwrap();
        0
    });
    let discarded: u64 = discarded.await.into_iter().sum();
    let mut items = 0;
    for process in 1..4 {
        items += fixture.store.replay_progress(&format!("r{process}")).await.unwrap().pending;
    }
    assert_eq!(items + discarded, 40);
    assert_eq!(fixture.store.account().await.unwrap().dead, items);
}

/// As the console's worker does it: claim, take, publish, mark.
async fn work(store: &Store, owner: &str, batches: usize, sent: &mut Vec<String>) {
    for _ in 0..batches {
        // The lease is long over by the time that anybody looks again.
        if !store.claim_replay("r", owner, at(130), at(100)).await.unwrap() {
            return;
        }
        let items = store.next_items("r", 7, at(100)).await.unwrap();
        sent.extend(items.iter().map(|item| item.id.clone()));
        let marks: Vec<_> = items.iter().map(|item| (item.position, ItemOutcome::Sent)).collect();
        store.mark_items("r", &marks, at(101)).await.unwrap();
    }
}

async fn consoles_that_work_at_once_send_each_item_once(fixture: Fixture) {
    let letters: Vec<_> = (0..50).map(|n| dead(&n.to_string(), "crm", 0, at(n))).collect();
    let ids: Vec<_> = letters.iter().map(|(_, letter)| letter.id()).collect();
    fixture.store.insert_dead_letters(&letters).await.unwrap();
    fixture.store.create_replay(&replay("r"), &ids, 5, at(60)).await.unwrap();
    let sent = at_once(&fixture, 4, |process, store| async move {
        let mut sent = Vec::new();
        work(&store, &format!("i{process}"), 3, &mut sent).await;
        sent
    });
    let mut sent = sent.await.concat();
    assert_eq!(sent.len(), 21, "one of them had the lease");
    // That one is killed between publishing and marking: another goes on when the lease is over, and repeats that batch.
    let unmarked = fixture.store.next_items("r", 7, at(101)).await.unwrap();
    let other = fixture.another().await;
    assert!(!other.claim_replay("r", "other", at(160), at(129)).await.unwrap());
    while other.claim_replay("r", "other", at(230), at(131)).await.unwrap() {
        let items = other.next_items("r", 7, at(131)).await.unwrap();
        if sent.len() == 21 {
            assert_eq!(items, unmarked);
        }
        sent.extend(items.iter().map(|item| item.id.clone()));
        let marks: Vec<_> = items.iter().map(|item| (item.position, ItemOutcome::Sent)).collect();
        other.mark_items("r", &marks, at(132)).await.unwrap();
    }
    assert_eq!(sent, ids);
    assert_eq!(fixture.store.replay("r").await.unwrap().unwrap().state, ReplayState::Done);
}

async fn consoles_that_prune_at_once_keep_the_account(fixture: Fixture) {
    let letters: Vec<_> = (0..60).map(|n| dead(&n.to_string(), "crm", 0, at(n))).collect();
    fixture.store.insert_dead_letters(&letters).await.unwrap();
    let ids: Vec<_> = letters[..50].iter().map(|(_, letter)| letter.id()).collect();
    fixture.store.discard_dead_letters(&DeadLetterFilter::ids(ids), "test", "ann", at(60)).await.unwrap();
    let before = fixture.store.account().await.unwrap();
    let pruned = at_once(&fixture, 4, |_, store| async move {
        let mut pruned = 0;
        loop {
            match store.prune_settled(at(61), 7).await.unwrap() {
                0 => return pruned,
                more => pruned += more,
            }
        }
    });
    assert_eq!(pruned.await.into_iter().sum::<u64>(), 50);
    assert_eq!(fixture.store.account().await.unwrap(), before);
    assert_eq!(fixture.store.count_dead_letters(&DeadLetterFilter::default()).await.unwrap(), 10);
}
