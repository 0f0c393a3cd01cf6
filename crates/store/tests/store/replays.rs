//! Selecting, freezing, working through, resuming and cancelling replays.

use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_store::{
    DeadLetterFilter, DeadLetterState, ItemOutcome, JourneyEntry, NewReplay, Page, Refusal, ReplayProgress,
    ReplayState, Selection, Store, StoreError,
};

use crate::{Fixture, at, dead, delivery, malformed, webhook};

on_each_database! {
    a_restart_resumes_with_what_was_not_marked_and_done_items_are_not_replayed_again,
    each_life_leaves_a_dead_letter_until_there_are_too_many,
    a_delivered_life_is_told_by_the_journey_and_replayed_again_only_when_forced,
    the_newest_life_stands_for_the_delivery_whatever_order_they_come_in,
    an_earlier_life_decides_nothing_while_a_forced_later_one_is_on_its_way,
    what_may_not_be_replayed_is_refused_again_when_the_replay_is_made,
    cancelling_gives_back_what_is_pending,
    webhooks_are_replayed_into_events_and_malformed_records_never,
    one_console_works_on_a_replay_until_its_lease_is_over,
}

fn replay(id: &str, destination: &str) -> NewReplay {
    NewReplay {
        id: id.to_owned(),
        destination: destination.to_owned(),
        filter: DeadLetterFilter { destination: Some(destination.to_owned()), ..DeadLetterFilter::default() },
        by: "ann".to_owned(),
        forced: false,
        as_it_was: false,
        rate: Some(2.5),
    }
}

async fn select(store: &Store, destination: &str, forced: bool) -> Selection {
    store.select_for_replay(&replay("", destination).filter, forced, 5).await.unwrap()
}

async fn state(store: &Store, id: &str) -> DeadLetterState {
    store.dead_letter(id).await.unwrap().unwrap().summary.state
}

async fn delivered(store: &Store, id: &str, generation: u32, offset: i64) {
    let step = JourneyStep::of_delivery(Step::Delivered, &delivery(id, "crm", generation), at(50));
    let record = JourneyRecord {
        instance: "one".to_owned(),
        service: "dispatcher".to_owned(),
        time: at(50),
        steps: vec![step],
        counts: JourneyCounts { delivered: 1, ..JourneyCounts::default() },
    };
    store.insert_journey(&[JourneyEntry { partition: 0, offset, record }]).await.unwrap();
}

async fn a_restart_resumes_with_what_was_not_marked_and_done_items_are_not_replayed_again(fixture: Fixture) {
    let letters: Vec<_> = (0..500).map(|n| dead(&n.to_string(), "crm", 0, at(n))).collect();
    fixture.store.insert_dead_letters(&letters).await.unwrap();
    let selection = select(&fixture.store, "crm", false).await;
    assert_eq!((selection.eligible.len(), selection.refused.len()), (500, 0));
    let mut twice = selection.eligible.clone();
    twice.extend(selection.eligible.iter().take(300).cloned());
    let refused = fixture.store.create_replay(&replay("r", "crm"), &twice, 5, at(1000)).await.unwrap();
    assert!(refused.is_empty());

    let (mut published, mut store) = (Vec::new(), fixture);
    for round in 0.. {
        let items = store.store.next_items("r", 64, at(1001)).await.unwrap();
        if items.is_empty() {
            break;
        }
        published.extend(items.iter().map(|item| (item.position, item.id.clone(), item.generation)));
        if round % 3 == 2 {
            // Published, not marked: as a kill would leave it.
            store = store.reopened().await;
            assert_eq!(store.store.unfinished_replays().await.unwrap().len(), 1);
            continue;
        }
        let marks: Vec<_> = items.iter().map(|item| (item.position, ItemOutcome::Sent)).collect();
        store.store.mark_items("r", &marks, at(1002)).await.unwrap();
    }
    let store = store.store;
    let sent = published.len();
    published.sort();
    published.dedup();
    assert_eq!(published.len(), 500);
    assert!(sent > 500 && published.iter().all(|(_, _, generation)| *generation == 1));
    let order: Vec<_> = published.iter().map(|(_, id, _)| id.clone()).collect();
    assert_eq!(order, selection.eligible);

    let progress = ReplayProgress { sent: 500, ..ReplayProgress::default() };
    assert_eq!(store.replay_progress("r").await.unwrap(), progress);
    let done = store.replay("r").await.unwrap().unwrap();
    assert_eq!((done.state, done.made.rate), (ReplayState::Done, Some(2.5)));
    assert!(store.unfinished_replays().await.unwrap().is_empty());

    let again = select(&store, "crm", false).await;
    assert_eq!((again.eligible.len(), again.refused.len()), (0, 500));
    assert_eq!(select(&store, "crm", true).await.eligible.len(), 500);
}

async fn each_life_leaves_a_dead_letter_until_there_are_too_many(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    for generation in 0..=5 {
        let (channel, letter) = dead("7", "crm", generation, at(i64::from(generation)));
        let id = letter.id();
        store.insert_dead_letters(&[(channel, letter)]).await.unwrap();
        assert_eq!(store.dead_letter(&id).await.unwrap().unwrap().summary.replays, generation);
        let selection = select(&store, "crm", false).await;
        if generation == 5 {
            assert_eq!(selection.refused, [(id.clone(), Refusal::TooManyReplays(5))]);
            assert_eq!(select(&store, "crm", true).await.eligible, [id]);
            continue;
        }
        assert_eq!(selection.eligible, [id]);
        let name = format!("r{generation}");
        let refused =
            store.create_replay(&replay(&name, "crm"), &selection.eligible, 5, at(10)).await.unwrap();
        assert!(refused.is_empty());
        let items = store.next_items(&name, 10, at(10)).await.unwrap();
        assert_eq!((items.len(), items[0].generation), (1, generation + 1));
        store.mark_items(&name, &[(0, ItemOutcome::Sent)], at(10)).await.unwrap();
    }
    let again = DeadLetterFilter { state: Some(DeadLetterState::DeadAgain), ..DeadLetterFilter::default() };
    assert_eq!(store.count_dead_letters(&again).await.unwrap(), 5);
    let first = dead("7", "crm", 0, at(0)).1.id();
    let selection =
        store.select_for_replay(&DeadLetterFilter::ids(vec![first.clone()]), true, 5).await.unwrap();
    assert_eq!(selection.refused, [(first.clone(), Refusal::DeadAgain)]);
    let history = store.dead_letter(&first).await.unwrap().unwrap().history;
    let states: Vec<_> = history.iter().map(|change| change.state).collect();
    assert_eq!(states, [DeadLetterState::DeadAgain, DeadLetterState::Replaying]);
    assert_eq!(store.replay_progress("r0").await.unwrap().dead_again, 1);
}

async fn a_delivered_life_is_told_by_the_journey_and_replayed_again_only_when_forced(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let (channel, letter) = dead("7", "crm", 0, at(0));
    let id = letter.id();
    store.insert_dead_letters(&[(channel, letter)]).await.unwrap();
    store.create_replay(&replay("r", "crm"), std::slice::from_ref(&id), 5, at(10)).await.unwrap();
    store.mark_items("r", &[(0, ItemOutcome::Sent)], at(11)).await.unwrap();
    assert_eq!(state(&store, &id).await, DeadLetterState::Replaying);
    delivered(&store, "7", 1, 0).await;
    assert_eq!(state(&store, &id).await, DeadLetterState::Delivered);
    assert_eq!(select(&store, "crm", false).await.refused, [(id.clone(), Refusal::Delivered)]);
    assert_eq!(store.replay_progress("r").await.unwrap().delivered, 1);

    // The same life, attempted twice because of a crash, can't undo it by dying.
    store.insert_dead_letters(&[dead("7", "crm", 1, at(12))]).await.unwrap();
    assert_eq!(state(&store, &id).await, DeadLetterState::Delivered);
    assert!(select(&store, "crm", false).await.eligible.is_empty());

    let forced = NewReplay { forced: true, ..replay("again", "crm") };
    assert!(store.create_replay(&forced, std::slice::from_ref(&id), 5, at(20)).await.unwrap().is_empty());
    // Cancelled, it is delivered as before.
    assert_eq!(store.cancel_replay("again", "ann", at(21)).await.unwrap(), Some(1));
    assert_eq!(state(&store, &id).await, DeadLetterState::Delivered);
}

async fn the_newest_life_stands_for_the_delivery_whatever_order_they_come_in(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let lives: Vec<_> = [2, 0, 1].iter().map(|life| dead("7", "crm", *life, at(0))).collect();
    store.insert_dead_letters(&lives).await.unwrap();
    assert_eq!(select(&store, "crm", false).await.eligible, [lives[0].1.id()]);
    for (_, older) in &lives[1..] {
        assert_eq!(state(&store, &older.id()).await, DeadLetterState::DeadAgain);
    }
}

async fn an_earlier_life_decides_nothing_while_a_forced_later_one_is_on_its_way(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    for (event, earlier_delivered) in [("7", true), ("8", false)] {
        let (channel, letter) = dead(event, "crm", 0, at(0));
        let id = letter.id();
        store.insert_dead_letters(&[(channel, letter)]).await.unwrap();
        let (first, second) = (format!("{event} first"), format!("{event} second"));
        for name in [&first, &second] {
            let forced = NewReplay { forced: true, ..replay(name, "crm") };
            store.create_replay(&forced, std::slice::from_ref(&id), 5, at(10)).await.unwrap();
        }
        // Cancelling the earlier leaves the later what it is.
        assert_eq!(store.cancel_replay(&first, "ann", at(11)).await.unwrap(), Some(1));
        assert_eq!(state(&store, &id).await, DeadLetterState::Replaying);
        match earlier_delivered {
            true => delivered(&store, event, 1, 0).await,
            false => store.insert_dead_letters(&[dead(event, "crm", 1, at(12))]).await.unwrap(),
        }
        assert_eq!(state(&store, &id).await, DeadLetterState::Replaying);
        let items = store.next_items(&second, 10, at(12)).await.unwrap();
        assert_eq!(items[0].generation, 2);
        store.mark_items(&second, &[(0, ItemOutcome::Sent)], at(13)).await.unwrap();
        delivered(&store, event, 2, if earlier_delivered { 1 } else { 2 }).await;
        assert_eq!(state(&store, &id).await, DeadLetterState::Delivered);
    }
}

async fn what_may_not_be_replayed_is_refused_again_when_the_replay_is_made(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let letters = [dead("1", "crm", 0, at(1)), dead("2", "crm", 0, at(2)), dead("3", "erp", 0, at(3))];
    let ids: Vec<_> = letters.iter().map(|(_, letter)| letter.id()).collect();
    store.insert_dead_letters(&letters).await.unwrap();
    let selected = select(&store, "crm", false).await.eligible;
    assert_eq!(selected, ids[..2]);
    store
        .discard_dead_letters(&DeadLetterFilter::ids(vec![ids[1].clone()]), "x", "bob", at(4))
        .await
        .unwrap();
    let refused = store.create_replay(&replay("r", "crm"), &ids, 5, at(5)).await.unwrap();
    let expected = [(ids[1].clone(), Refusal::Discarded), (ids[2].clone(), Refusal::OtherDestination)];
    assert_eq!(refused, expected);
    let items = store.next_items("r", 10, at(5)).await.unwrap();
    assert_eq!(items.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), [ids[0].as_str()]);

    let error = store.create_replay(&replay("r", "crm"), &ids, 5, at(5)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { what: "replay", .. }), "{error:?}");
    let none = store.create_replay(&replay("none", "crm"), &[], 5, at(6)).await.unwrap();
    assert!(none.is_empty());
    assert_eq!(store.replay("none").await.unwrap().unwrap().state, ReplayState::Done);
    let (replays, next) = store.list_replays(&Page::first(1)).await.unwrap();
    assert_eq!((replays[0].made.id.as_str(), next.is_some()), ("none", true));
}

async fn cancelling_gives_back_what_is_pending(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let letters: Vec<_> = (0..10).map(|n| dead(&n.to_string(), "crm", 0, at(n))).collect();
    let ids: Vec<_> = letters.iter().map(|(_, letter)| letter.id()).collect();
    store.insert_dead_letters(&letters).await.unwrap();
    store.create_replay(&replay("r", "crm"), &ids, 5, at(20)).await.unwrap();
    let marks =
        [(0, ItemOutcome::Sent), (1, ItemOutcome::Skipped("no body".to_owned())), (2, ItemOutcome::Sent)];
    store.mark_items("r", &marks, at(21)).await.unwrap();
    assert_eq!(store.cancel_replay("r", "bob", at(22)).await.unwrap(), Some(7));
    assert_eq!(store.cancel_replay("r", "bob", at(23)).await.unwrap(), None);
    assert!(store.next_items("r", 10, at(24)).await.unwrap().is_empty());
    let progress = ReplayProgress { sent: 2, skipped: 8, ..ReplayProgress::default() };
    assert_eq!(store.replay_progress("r").await.unwrap(), progress);
    // A mark that comes too late changes nothing.
    store.mark_items("r", &[(5, ItemOutcome::Sent)], at(25)).await.unwrap();
    assert_eq!(store.replay_progress("r").await.unwrap(), progress);
    assert_eq!(store.replay("r").await.unwrap().unwrap().state, ReplayState::Cancelled);

    let selection = select(&store, "crm", false).await;
    assert_eq!((selection.eligible.len(), selection.refused.len()), (8, 2));
    let skipped = store.dead_letter(&ids[1]).await.unwrap().unwrap();
    assert_eq!((skipped.summary.replays, skipped.life), (0, 0));
    assert_eq!(skipped.history.last().unwrap().detail, "no body");
}

async fn webhooks_are_replayed_into_events_and_malformed_records_never(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let (hook, bytes) = (webhook(b"{}", at(1)), malformed(b"\xff", at(2)));
    let (hook_id, bytes_id) = (hook.1.id(), bytes.1.id());
    store.insert_dead_letters(&[hook, bytes]).await.unwrap();
    let selection = store.select_for_replay(&DeadLetterFilter::default(), true, 5).await.unwrap();
    assert_eq!(selection.eligible, std::slice::from_ref(&hook_id));
    assert_eq!(selection.refused, [(bytes_id, Refusal::Malformed)]);
    store.create_replay(&replay("r", "gateway"), &selection.eligible, 5, at(3)).await.unwrap();
    store.mark_items("r", &[(0, ItemOutcome::Sent)], at(4)).await.unwrap();
    assert_eq!(state(&store, &hook_id).await, DeadLetterState::Delivered);
}

async fn one_console_works_on_a_replay_until_its_lease_is_over(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let (channel, letter) = dead("1", "crm", 0, at(0));
    let id = letter.id();
    store.insert_dead_letters(&[(channel, letter)]).await.unwrap();
    store.create_replay(&replay("r", "crm"), &[id], 5, at(1)).await.unwrap();
    assert!(store.claim_replay("r", "one", at(60), at(1)).await.unwrap());
    assert!(!store.claim_replay("r", "two", at(70), at(10)).await.unwrap());
    assert!(store.claim_replay("r", "one", at(90), at(20)).await.unwrap());
    assert!(store.claim_replay("r", "two", at(200), at(91)).await.unwrap());
    let lease = store.replay("r").await.unwrap().unwrap().lease;
    assert_eq!(lease, Some(("two".to_owned(), at(200))));
    store.mark_items("r", &[(0, ItemOutcome::Sent)], at(92)).await.unwrap();
    assert!(!store.claim_replay("r", "two", at(300), at(93)).await.unwrap());
}
