//! Storing, listing, grouping and giving up dead letters.

use trunkline_core::{DeadLetterReason, FailureClass};
use trunkline_store::words::ClassKind;
use trunkline_store::{Contained, DeadLetterFilter, DeadLetterState, Page, Store, StoreError};

use crate::{Fixture, at, dead, malformed, webhook};

on_each_database! {
    stored_twice_is_stored_once_and_survives_opening_again,
    every_filter_means_what_it_says,
    pages_cover_everything_once_even_among_equal_times,
    the_same_cause_is_one_group_and_its_filter_finds_it,
    only_waiting_dead_letters_are_given_up,
}

async fn filled(fixture: Fixture) -> Fixture {
    let mut other = dead("5", "erp", 0, at(5));
    other.1.reason = DeadLetterReason::Rejected;
    other.1.class = Some(FailureClass::Rejected);
    other.1.detail = "100% of_it was 'odd'".to_owned();
    let letters = [
        dead("1", "crm", 0, at(1)),
        dead("2", "crm", 0, at(2)),
        dead("3", "crm", 0, at(2)),
        dead("4", "erp", 0, at(4)),
        other,
        malformed(b"\xff", at(6)),
        webhook(b"{}", at(7)),
    ];
    fixture.store.insert_dead_letters(&letters).await.unwrap();
    fixture
}

async fn ids(store: &Store, filter: DeadLetterFilter) -> Vec<String> {
    let page = store.list_dead_letters(&filter, &Page::first(100)).await.unwrap();
    assert_eq!(store.count_dead_letters(&filter).await.unwrap(), page.items.len() as u64);
    page.items.into_iter().map(|item| item.event_id).collect()
}

async fn stored_twice_is_stored_once_and_survives_opening_again(fixture: Fixture) {
    let fixture = filled(fixture).await;
    let letter = dead("1", "crm", 0, at(1));
    let id = letter.1.id();
    let discarded = fixture
        .store
        .discard_dead_letters(&DeadLetterFilter::ids(vec![id.clone()]), "not wanted", "ann", at(10))
        .await
        .unwrap();
    assert_eq!(discarded, std::slice::from_ref(&id));
    fixture.store.insert_dead_letters(&[letter.clone(), letter.clone()]).await.unwrap();
    let fixture = fixture.reopened().await;
    assert_eq!(fixture.store.count_dead_letters(&DeadLetterFilter::default()).await.unwrap(), 7);

    let stored = fixture.store.dead_letter(&id).await.unwrap().unwrap();
    assert_eq!(stored.dead_letter, letter.1);
    assert_eq!(stored.summary.state, DeadLetterState::Discarded);
    assert_eq!((stored.summary.class, stored.summary.status), (Some(ClassKind::Transient), Some(503)));
    assert_eq!(stored.history.len(), 1);
    assert_eq!((stored.history[0].by.as_str(), stored.history[0].detail.as_str()), ("ann", "not wanted"));
    assert!(fixture.store.dead_letter("none").await.unwrap().is_none());
}

async fn every_filter_means_what_it_says(fixture: Fixture) {
    let Fixture { store, database: _database } = filled(fixture).await;
    let all = DeadLetterFilter::default;
    let check = |filter, expected: &'static [&'static str]| {
        let store = store.clone();
        async move { assert_eq!(ids(&store, filter).await, expected) }
    };
    let text = |text: &str| DeadLetterFilter { text: Some(text.to_owned()), ..all() };
    check(DeadLetterFilter { destination: Some("erp".to_owned()), ..all() }, &["5", "4"]).await;
    check(DeadLetterFilter { destination: Some("router".to_owned()), ..all() }, &[""]).await;
    check(DeadLetterFilter { contained: Some(Contained::Webhook), ..all() }, &[""]).await;
    check(DeadLetterFilter { reason: Some(DeadLetterReason::Rejected), ..all() }, &["5"]).await;
    check(DeadLetterFilter { class: Some(ClassKind::Rejected), ..all() }, &["5"]).await;
    check(DeadLetterFilter { status: Some(404), ..all() }, &[]).await;
    check(DeadLetterFilter { status: Some(0), ..all() }, &["", ""]).await;
    check(DeadLetterFilter { state: Some(DeadLetterState::Discarded), ..all() }, &[]).await;
    check(DeadLetterFilter { event_id: Some("4".to_owned()), ..all() }, &["4"]).await;
    check(DeadLetterFilter { kind: Some("commerce.order".to_owned()), ..all() }, &[]).await;
    check(DeadLetterFilter { since: Some(at(4)), until: Some(at(6)), ..all() }, &["5", "4"]).await;
    check(DeadLetterFilter::ids(vec![]), &[]).await;
    check(DeadLetterFilter::ids(vec![dead("2", "crm", 0, at(2)).1.id(), "x".to_owned()]), &["2"]).await;
    check(text("ORDER 4"), &["4"]).await;
    check(text("%"), &["5"]).await;
    check(text("0% of_it"), &["5"]).await;
    check(text("0%it"), &[]).await;
    check(text("_"), &["5"]).await;
    check(text("\\"), &[]).await;
    check(text("\0"), &[]).await;
    check(text("5\0"), &[]).await;
    check(text("'odd'"), &["5"]).await;
    check(text("') OR 1 = 1 --"), &[]).await;
    check(DeadLetterFilter { source: Some("' OR '1' = '1".to_owned()), ..all() }, &[]).await;
    assert_eq!(ids(&store, all()).await.len(), 7);
    let origins = |filter, limit| {
        let store = store.clone();
        async move { store.origins_of_dead_letters(&filter, limit).await.unwrap() }
    };
    assert_eq!(origins(all(), 10).await, ["crm", "erp", "gateway", "router"]);
    assert_eq!(origins(all(), 2).await.len(), 2);
    assert_eq!(origins(text("order 4"), 10).await, ["erp"]);
    assert!(origins(text("nothing"), 10).await.is_empty());
}

async fn pages_cover_everything_once_even_among_equal_times(fixture: Fixture) {
    let Fixture { store, database: _database } = filled(fixture).await;
    let mut page = Page::first(2);
    let mut seen = Vec::new();
    loop {
        let found = store.list_dead_letters(&DeadLetterFilter::default(), &page).await.unwrap();
        seen.extend(found.items.into_iter().map(|item| (item.time, item.id)));
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]));
    for wrong in ["", "x", "x.y"] {
        let page = Page { limit: 2, after: Some(wrong.to_owned()) };
        let error = store.list_dead_letters(&DeadLetterFilter::default(), &page).await.unwrap_err();
        assert!(matches!(error, StoreError::Cursor(_)), "{error:?}");
    }
}

async fn the_same_cause_is_one_group_and_its_filter_finds_it(fixture: Fixture) {
    let Fixture { store, database: _database } = filled(fixture).await;
    let groups = store.group_dead_letters(&DeadLetterFilter::default(), 100).await.unwrap();
    assert_eq!(groups.len(), 5);
    let largest = &groups[0];
    assert_eq!((largest.count, largest.channel.as_str()), (3, "crm"));
    assert_eq!(largest.cause, "order #: status # after #s");
    assert_eq!((largest.first, largest.last), (at(1), at(2)));
    let filter = DeadLetterFilter {
        destination: Some(largest.channel.clone()),
        reason: Some(largest.reason),
        cause: Some(largest.cause.clone()),
        ..DeadLetterFilter::default()
    };
    assert_eq!(ids(&store, filter).await.len(), 3);
    assert!(store.dead_letter(&largest.sample).await.unwrap().is_some());
}

#[test]
fn a_filter_reads_back_from_json_and_names_what_it_does_not_know() {
    let filter = DeadLetterFilter {
        destination: Some("crm".to_owned()),
        class: Some(ClassKind::Throttled),
        state: Some(DeadLetterState::DeadAgain),
        since: Some(at(0)),
        ..DeadLetterFilter::default()
    };
    let json = serde_json::to_string(&filter).unwrap();
    assert_eq!(serde_json::from_str::<DeadLetterFilter>(&json).unwrap(), filter);
    let error = serde_json::from_str::<DeadLetterFilter>(r#"{"state":"dead"}"#).unwrap_err().to_string();
    assert!(
        error.contains("`dead` is no state of a dead letter; it is one of waiting, replaying"),
        "{error}"
    );
    assert!(serde_json::from_str::<DeadLetterFilter>(r#"{"sate":"waiting"}"#).is_err());
}

async fn only_waiting_dead_letters_are_given_up(fixture: Fixture) {
    let Fixture { store, database: _database } = filled(fixture).await;
    let crm = DeadLetterFilter { destination: Some("crm".to_owned()), ..DeadLetterFilter::default() };
    assert_eq!(store.discard_dead_letters(&crm, "test", "ann", at(10)).await.unwrap().len(), 3);
    assert_eq!(store.discard_dead_letters(&crm, "test", "ann", at(11)).await.unwrap().len(), 0);
    let all = DeadLetterFilter::default();
    assert_eq!(store.discard_dead_letters(&all, "test", "ann", at(12)).await.unwrap().len(), 4);
}
