//! The account, against a model: whatever happens in whatever order, at rest it balances.

use proptest::prelude::*;
use trunkline_core::journey::{JourneyCounts, JourneyRecord, JourneyStep, Step};
use trunkline_store::{
    Account, DeadLetterFilter, DeadLetterState, Imbalance, ItemOutcome, JourneyEntry, NewReplay, OnTheBroker,
    Page, Store,
};

use crate::{at, dead, delivery};

#[derive(Debug, Clone)]
enum Action {
    /// The router makes a delivery.
    Make,
    /// One of the deliveries in flight ends.
    End { which: usize, delivered: bool },
    /// An operator replays what can be.
    Replay { forced: bool },
    /// The console publishes some items of the oldest replay; a crash leaves them unmarked.
    Send { items: u32, crash: bool },
    /// An operator cancels the oldest replay.
    Cancel,
    /// An operator gives up what waits.
    Discard,
    /// The broker hands the last journey record out again.
    Again,
    /// What is settled is forgotten, unless a copy of a delivery may still be on its way.
    Prune,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => Just(Action::Make),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(which, delivered)| Action::End { which, delivered }),
        2 => any::<bool>().prop_map(|forced| Action::Replay { forced }),
        4 => (1..4u32, prop::bool::weighted(0.2)).prop_map(|(items, crash)| Action::Send { items, crash }),
        1 => Just(Action::Cancel),
        1 => Just(Action::Discard),
        2 => Just(Action::Again),
        2 => Just(Action::Prune),
    ]
}

struct World {
    store: Store,
    made: u32,
    /// Event id and generation.
    in_flight: Vec<(String, u32)>,
    last: Option<JourneyEntry>,
    offset: i64,
    replays: u32,
    /// Whether each delivery was in flight at most once so far: then it balances at any moment.
    plain: bool,
}

impl World {
    async fn act(&mut self, action: Action) {
        match action {
            Action::Make => {
                let counts = JourneyCounts { accepted: 1, routed: 1, made: 1, ..JourneyCounts::default() };
                self.journey("router", vec![], counts).await;
                self.in_flight.push((self.made.to_string(), 0));
                self.made += 1;
            }
            Action::End { which, delivered } => self.end(which, delivered).await,
            Action::Replay { forced } => self.replay(forced).await,
            Action::Send { items, crash } => self.send(items, crash).await,
            Action::Cancel => {
                if let Some(replay) = self.store.unfinished_replays().await.unwrap().first() {
                    self.store.cancel_replay(&replay.made.id, "ann", at(0)).await.unwrap();
                }
            }
            Action::Discard => {
                let all = DeadLetterFilter::default();
                self.store.discard_dead_letters(&all, "test", "ann", at(0)).await.unwrap();
            }
            Action::Again => {
                if let Some(entry) = &self.last {
                    self.store.insert_journey(std::slice::from_ref(entry)).await.unwrap();
                }
            }
            Action::Prune if self.plain => {
                let before = self.store.account().await.unwrap();
                while self.store.prune_settled(at(i64::from(u32::MAX)), 3).await.unwrap() > 0 {}
                assert_eq!(self.store.account().await.unwrap(), before);
            }
            Action::Prune => {}
        }
    }

    async fn end(&mut self, which: usize, delivered: bool) {
        if self.in_flight.is_empty() {
            return;
        }
        let (id, generation) = self.in_flight.swap_remove(which % self.in_flight.len());
        let counts = JourneyCounts { attempts: 1, ..JourneyCounts::default() };
        let (step, counts) = match delivered {
            true => (Step::Delivered, JourneyCounts { delivered: 1, ..counts }),
            false => (Step::Dead, JourneyCounts { dead: 1, ..counts }),
        };
        if !delivered {
            self.store.insert_dead_letters(&[dead(&id, "crm", generation, at(0))]).await.unwrap();
        }
        let step = JourneyStep::of_delivery(step, &delivery(&id, "crm", generation), at(0));
        self.journey("dispatcher", vec![step], counts).await;
    }

    async fn journey(&mut self, service: &str, steps: Vec<JourneyStep>, counts: JourneyCounts) {
        let (instance, service) = ("one".to_owned(), service.to_owned());
        let record = JourneyRecord { instance, service, time: at(self.offset), steps, counts };
        let entry = JourneyEntry { partition: 0, offset: self.offset, record };
        self.offset += 1;
        self.store.insert_journey(std::slice::from_ref(&entry)).await.unwrap();
        self.last = Some(entry);
    }

    async fn replay(&mut self, forced: bool) {
        let filter = DeadLetterFilter::default();
        let selection = self.store.select_for_replay(&filter, forced, 3).await.unwrap();
        self.plain &= !forced;
        let replay = NewReplay {
            id: self.replays.to_string(),
            destination: "crm".to_owned(),
            filter,
            by: "ann".to_owned(),
            forced,
            as_it_was: false,
            rate: None,
        };
        self.replays += 1;
        let refused = self.store.create_replay(&replay, &selection.eligible, 3, at(0)).await.unwrap();
        assert_eq!(refused, []);
    }

    async fn send(&mut self, items: u32, crash: bool) {
        let Some(replay) = self.store.unfinished_replays().await.unwrap().into_iter().next() else { return };
        let items = self.store.next_items(&replay.made.id, items, at(0)).await.unwrap();
        for item in &items {
            let event = item.dead_letter.contents.clone();
            let trunkline_core::dead_letter::Contents::Delivery(delivery) = event else {
                panic!("{event:?}")
            };
            self.in_flight.push((delivery.event.id().to_owned(), item.generation));
        }
        self.plain &= !crash;
        if !crash {
            let marks: Vec<_> = items.iter().map(|item| (item.position, ItemOutcome::Sent)).collect();
            self.store.mark_items(&replay.made.id, &marks, at(0)).await.unwrap();
        }
    }

    async fn check(&self) {
        let account = self.store.account().await.unwrap();
        let in_flight = self.in_flight.len() as u64;
        let broker = OnTheBroker { in_flight, ..OnTheBroker::default() };
        assert_eq!(account.check(broker), Ok(()), "{account:?}, {in_flight} in flight");
        assert_eq!(account.made, u64::from(self.made));
    }

    /// Lets everything come to an end.
    async fn rest(&mut self) {
        while !self.store.unfinished_replays().await.unwrap().is_empty() {
            self.send(100, false).await;
        }
        while !self.in_flight.is_empty() {
            self.end(0, self.in_flight.len().is_multiple_of(2)).await;
        }
        self.check().await;
        let page =
            self.store.list_dead_letters(&DeadLetterFilter::default(), &Page::first(10_000)).await.unwrap();
        let mut standing: Vec<_> = page
            .items
            .into_iter()
            .filter(|letter| letter.state != DeadLetterState::DeadAgain)
            .inspect(|letter| assert_ne!(letter.state, DeadLetterState::Replaying, "{letter:?}"))
            .map(|letter| letter.event_id)
            .collect();
        let all = standing.len();
        standing.sort();
        standing.dedup();
        assert_eq!(standing.len(), all, "two dead letters stand for one delivery");
    }
}

async fn live(actions: Vec<Action>, store: Store) {
    let (in_flight, last) = (Vec::new(), None);
    let mut world = World { store, made: 0, in_flight, last, offset: 0, replays: 0, plain: true };
    for action in actions {
        world.act(action).await;
        if world.plain {
            world.check().await;
        }
    }
    world.rest().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_account_balances_on_sqlite(actions in prop::collection::vec(action(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { live(actions, Store::open("sqlite::memory:").await.unwrap()).await });
    }
}

proptest! {
    // Each with a schema of its own, which takes longer than the case.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_account_balances_on_postgres(actions in prop::collection::vec(action(), 30..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if let Some(fixture) = crate::Fixture::postgres("the_account_balances_on_postgres").await {
                live(actions, fixture.store.clone()).await;
            }
        });
    }
}

#[test]
fn what_is_missing_or_too_much_is_told() {
    let account =
        Account { accepted: 5, routed: 3, filtered: 1, made: 4, delivered: 2, dead: 1, ..Account::default() };
    let broker = OnTheBroker { events: 1, in_flight: 1, ..OnTheBroker::default() };
    assert_eq!(account.check(broker), Ok(()));
    let lost = OnTheBroker { in_flight: 0, ..broker };
    assert_eq!(account.check(lost), Err(Imbalance::Deliveries { made: 4, accounted: 3 }));
    let twice = OnTheBroker { events: 2, ..broker };
    assert_eq!(account.check(twice), Err(Imbalance::Events { accepted: 5, accounted: 6 }));
}
