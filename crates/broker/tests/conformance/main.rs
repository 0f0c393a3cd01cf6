//! The suite tried on itself: a reference engine in memory passes every case, and one with a wrong habit does not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod consuming;
mod engine;
mod fault;
mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trunkline_broker::conformance::{
    Fixture, declaring, delaying, enduring, flowing, giving_back, handing_over, keeping, ordering, sharing,
    storing,
};
use trunkline_broker::{Broker, ChannelName, GroupName};

use engine::{MemoryBroker, Server};
use fault::Fault;

struct Memory {
    server: Arc<Server>,
    processes: Mutex<HashMap<String, Arc<MemoryBroker>>>,
    patience: Duration,
}

impl Memory {
    fn new(fault: Fault, patience: Duration) -> Self {
        Self { server: Server::new(fault), processes: Mutex::default(), patience }
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<String, Arc<MemoryBroker>>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fixture for Memory {
    async fn start(_: &str) -> Self {
        Self::new(Fault::None, Duration::from_secs(5))
    }

    async fn instance(&self, name: &str) -> Option<Arc<dyn Broker>> {
        let mut processes = self.processes();
        let broker = processes.entry(name.to_owned()).or_insert_with(|| self.server.open());
        Some(Arc::<MemoryBroker>::clone(broker))
    }

    async fn restart(&self) {
        self.processes().clear();
        self.server.lock().restart();
    }

    async fn crash(&self, name: &str) {
        if let Some(broker) = self.processes().remove(name) {
            self.server.lock().crash(broker.process);
        }
    }

    async fn elapse_consumer_timeout(&self) {}

    async fn break_group(&self, channel: &ChannelName, group: &GroupName) -> bool {
        let mut state = self.server.lock();
        state.channels.get_mut(channel).is_some_and(|channel| channel.groups.remove(group).is_some())
    }

    fn unsettled_bound(&self) -> usize {
        consuming::BOUND
    }

    fn patience(&self) -> Duration {
        self.patience
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(150)
    }
}

trunkline_broker::conformance!(Memory);

/// Fails unless the case fails on an engine with this fault.
#[track_caller]
fn check(fault: Fault, case: impl AsyncFnOnce(&Memory) + Send + 'static) {
    // Short, since most faults show as something that never comes; but longer than any delay.
    let delays = matches!(fault, Fault::DelaysTooLong | Fault::ForgetsDelaysInCrash);
    let patience = Duration::from_secs(if delays { 3 } else { 1 });
    let tried = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let memory = Memory::new(fault, patience);
        runtime.block_on(Box::pin(case(&memory)));
    });
    assert!(tried.join().is_err(), "the case passes on an engine that {fault:?}");
}

macro_rules! finds {
    ($($test:ident: $fault:ident, $module:ident::$case:ident;)*) => {$(
        #[test]
        fn $test() {
            check(Fault::$fault, $module::$case::<Memory>);
        }
    )*};
}

finds! {
    finds_a_lost_tail: LosesTailInCrash, storing::confirmed_means_stored;
    finds_settling_up_to: SettlesUpTo, giving_back::out_of_order_settling_does_not_pass_an_unsettled_record;
    finds_drop_as_done: DropMeansDone, giving_back::dropped_receipt_returns;
    finds_giving_back_last: GivesBackLast, giving_back::dropped_receipt_returns;
    finds_confirmed_unroutable: ConfirmsUnroutable, storing::unroutable_publish_fails;
    finds_confirmed_without_group: ConfirmsWithoutGroup, storing::missing_group_queue_makes_publish_fail;
    finds_stored_oversized: StoresOversized, storing::oversized_record_is_named_and_the_rest_stored;
    finds_oversized_output: StoresOversized, handing_over::oversized_output_is_named_and_the_rest_unharmed;
    finds_publishing_before_refusal:
        PublishesBeforeRefusal, handing_over::oversized_output_is_named_and_the_rest_unharmed;
    finds_settling_before_publishing: SettlesBeforePublishing, handing_over::hand_over_is_atomic;
    finds_short_delays:
        DelaysTooShort, delaying::delayed_records_come_neither_early_nor_before_others_of_their_delay;
    finds_long_delays:
        DelaysTooLong, delaying::delayed_records_come_neither_early_nor_before_others_of_their_delay;
    finds_forgotten_delays: ForgetsDelaysInCrash, delaying::delayed_survive_restart;
    finds_turned_batches: StoresBackwards, ordering::order_per_key;
    finds_stale_settling: HonoursStaleLeases, sharing::stale_lease_settlement_ignored;
    finds_records_lost_with_a_lease: LosesHandedOutWithLease, giving_back::leaving_gives_everything_back;
    finds_records_lost_with_a_process: LosesHandedOutWithLease, sharing::lease_passes_to_another_instance;
    finds_records_lost_in_hasty_goodbyes: LosesHandedOutWithLease, enduring::concurrent_close;
    finds_an_ignored_hold: IgnoresHold, flowing::held_channel_outlives_consumer_timeout;
    finds_a_leaking_hold: IgnoresHold, flowing::hold_gives_prefetched_back;
    finds_a_hold_forgotten_in_reassignment: IgnoresHold, flowing::hold_outlives_reassignment;
    finds_an_ignored_bound: IgnoresBound, flowing::saturated_unsettled;
    finds_a_stopping_channel: FullChannelStopsAll, flowing::saturated_unsettled;
    finds_records_lost_with_a_next: CancelledNextLoses, giving_back::cancelled_next_loses_nothing;
    finds_a_lag_without_delayed: LagForgetsDelayed, keeping::lag_is_right;
    finds_taken_settings: TakesOtherSettings, declaring::settings_mismatch_refuses;
    finds_creating_verification: VerifyCreates, declaring::verify_refuses_missing;
    finds_a_careless_removal: RemovesNonEmpty, declaring::remove_refuses_nonempty;
    finds_a_late_group: NewGroupBeginsLate, sharing::group_added_later_begins_at_oldest;
    finds_kept_settled: KeepsSettled, keeping::until_settled_keeps_nothing_settled;
    finds_sorted_headers: SortsHeaders, storing::round_trip_with_headers;
    finds_bytes_taken_for_text: TakesBytesForText, storing::undecodable_bytes_survive;
    finds_moving_keys: MovesKeys, ordering::key_distribution;
    finds_groups_left_out: ServesOneGroup, sharing::several_groups_get_each_record;
    finds_a_settling_observer: ObservingSettles, keeping::observe_takes_nothing_away;
    finds_dropped_unsettled: DropsUnsettledByAge, keeping::keep_for_never_drops_unsettled;
    finds_ignored_leases: IgnoresLeases, sharing::two_consumers_share_a_group;
    finds_forgotten_settling: ForgetsSettlingInRevoke, sharing::drained_lease_passes_without_redelivery;
    finds_hasty_goodbyes_taken_for_done: DropMeansDone, enduring::concurrent_close;
    finds_turned_batches_of_many_publishers: StoresBackwards, ordering::concurrent_publishers_keep_their_order;
}
