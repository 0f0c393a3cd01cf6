//! Destination states.

use trunkline_store::{DestinationState, DestinationStateKind};

use crate::{Fixture, at};

on_each_database! {
    a_hold_never_overwrites_a_pause,
    of_many_holds_at_once_one_wins,
}

async fn a_hold_never_overwrites_a_pause(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    assert_eq!(store.destination_state("crm").await.unwrap(), DestinationState::Open);
    let start = store.states_revision().await.unwrap();

    assert!(store.hold_if_open("crm", "status 401", Some(at(60)), "one", at(1)).await.unwrap());
    assert!(!store.hold_if_open("crm", "status 403", None, "two", at(2)).await.unwrap());
    let held =
        DestinationState::Held { reason: "status 401".to_owned(), since: at(1), probe_after: Some(at(60)) };
    assert_eq!(store.destination_state("crm").await.unwrap(), held);

    let paused =
        DestinationState::Paused { by: "ann".to_owned(), reason: "their release".to_owned(), since: at(3) };
    store.set_destination_state("crm", &paused, "ann", at(3)).await.unwrap();
    assert!(!store.hold_if_open("crm", "status 401", None, "one", at(4)).await.unwrap());
    let held_only = [DestinationStateKind::Held];
    let open = DestinationState::Open;
    assert!(!store.swap_destination_state("crm", &held_only, &open, "one", at(5)).await.unwrap());
    // One that was never set is open, so this does not apply, and leaves nothing behind.
    assert!(!store.swap_destination_state("erp", &held_only, &open, "one", at(5)).await.unwrap());
    assert_eq!(store.destination_states().await.unwrap(), [("crm".to_owned(), paused)]);
    assert_eq!(store.states_revision().await.unwrap(), start + 2);

    let disabled = DestinationState::Disabled { reason: "status 410".to_owned(), since: at(6) };
    store.set_destination_state("erp", &disabled, "one", at(6)).await.unwrap();
    store.set_destination_state("crm", &open, "ann", at(7)).await.unwrap();
    let all = [("crm".to_owned(), open), ("erp".to_owned(), disabled)];
    assert_eq!(store.destination_states().await.unwrap(), all);
}

async fn of_many_holds_at_once_one_wins(fixture: Fixture) {
    let Fixture { store, database: _database } = fixture;
    let holds = (0..8).map(|instance| {
        let store = store.clone();
        tokio::spawn(async move {
            store.hold_if_open("crm", "circuit open", None, &format!("i{instance}"), at(1)).await.unwrap()
        })
    });
    let mut won = 0;
    for hold in holds.collect::<Vec<_>>() {
        won += u32::from(hold.await.unwrap());
    }
    assert_eq!(won, 1);
}
