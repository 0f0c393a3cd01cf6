//! The conformance suite: what the port's contracts mean, tried on an engine.
//!
//! An engine's tests implement [`Fixture`] and say `trunkline_broker::conformance!(TheirFixture);` in a file of their
//! `tests/`; that makes one test of each case (the crate needs `tokio` with `macros` and `rt-multi-thread`). Every
//! engine runs every case, unchanged. What an engine lacks by design is skipped by name, and the output says so; see
//! [`Skip`] for the only reasons there are.
//!
//! Cases are grouped by what they try; [`oracle`] judges histories, [`consumer`] plays a consumer, [`numbered`] makes
//! records that say who they are. A case fails by panicking.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

pub mod consumer;
pub mod declaring;
pub mod delaying;
pub mod enduring;
mod fixture;
pub mod flowing;
pub mod giving_back;
pub mod handing_over;
pub mod keeping;
pub mod numbered;
pub mod oracle;
pub mod ordering;
pub mod sharing;
pub mod stage;
pub mod storing;

use std::fmt;

pub use fixture::{FIRST, Fixture, SECOND};

/// The names of all cases, so that engines can be compared.
pub const CASES: &[&str] = crate::conformance!(@list names);

/// The cases that restart the broker's server; all others leave it alone, so that they can share one.
pub const RESTARTING: &[&str] = &[
    "out_of_order_settling_does_not_pass_an_unsettled_record",
    "settling_the_gap_settles_what_is_behind_it",
    "key_distribution",
    "delayed_survive_restart",
    "settings_mismatch_refuses",
    "lag_is_right",
    "keep_for_never_drops_unsettled",
    "engine_restart_mid_stream",
    "place_is_kept_over_restarts",
];

/// Why a case is not tried on an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// [`crate::Capabilities::atomic_hand_over`] is false.
    NoAtomicHandOver,
    /// A group is nothing that could vanish behind the engine's back ([`Fixture::break_group`]).
    GroupsCannotVanish,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Skip::NoAtomicHandOver => "the engine has no atomic hand-over",
            Skip::GroupsCannotVanish => "the engine's groups cannot vanish behind its back",
        })
    }
}

#[allow(clippy::print_stdout, reason = "a skipped case says so in the output of the tests")]
fn skip(case: &str, reason: Skip) {
    println!("skipped: {case}: {reason}");
}

/// Runs one case on a fresh fixture, within ten times its patience; where the run is without the fixture's server, not.
///
/// # Panics
/// When the case fails or does not end.
pub async fn run<F: Fixture>(name: &str, case: impl AsyncFnOnce(&F)) {
    if F::is_absent(name) {
        return;
    }
    let fixture = F::start(name).await;
    let limit = fixture.patience() * 10;
    let ended = tokio::time::timeout(limit, Box::pin(case(&fixture))).await;
    assert!(ended.is_ok(), "{name} did not end within {limit:?}");
    fixture.stop().await;
}

/// Tries a case on several fixtures at the same time, each on a thread of its own.
///
/// # Panics
/// When it fails on one; says on which.
pub fn run_beside(case: &str, fixtures: &[(&str, fn())]) {
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let tried: Vec<_> = fixtures
            .iter()
            .map(|(fixture, run)| (*fixture, std::thread::Builder::new().spawn_scoped(scope, run)))
            .collect();
        let failed = tried.into_iter().filter_map(|(fixture, thread)| {
            let ended = thread.expect("a thread for a case").join();
            ended.is_err().then_some(fixture)
        });
        failed.collect()
    });
    assert!(failed.is_empty(), "{case} failed on {}", failed.join(" and on "));
}

/// Makes one `#[test]` of each conformance case, on the given [`Fixture`]; of several fixtures, all are tried in it at the
/// same time, because cases mostly wait.
#[macro_export]
macro_rules! conformance {
    (@list $what:ident $($fixture:ty)*) => {
        $crate::conformance! { @$what [$($fixture)*]
            storing::round_trip_with_headers,
            storing::undecodable_bytes_survive,
            storing::confirmed_means_stored,
            storing::unroutable_publish_fails,
            storing::missing_group_queue_makes_publish_fail,
            storing::oversized_record_is_named_and_the_rest_stored,
            storing::large_batch,
            storing::empty_batch,
            giving_back::dropped_receipt_returns,
            giving_back::a_record_given_back_often_is_kept,
            giving_back::leaving_gives_everything_back,
            giving_back::crash_between_publish_and_settle_duplicates_never_loses,
            giving_back::out_of_order_settling_does_not_pass_an_unsettled_record,
            giving_back::settling_the_gap_settles_what_is_behind_it,
            giving_back::cancelled_next_loses_nothing,
            handing_over::hand_over_during_next,
            handing_over::hand_over_is_atomic,
            handing_over::oversized_output_is_named_and_the_rest_unharmed,
            handing_over::retry_is_a_hand_over_to_the_same_channel,
            handing_over::concurrent_hand_overs_settle_all,
            ordering::order_per_key,
            ordering::concurrent_publishers_keep_their_order,
            ordering::key_distribution,
            sharing::two_consumers_share_a_group,
            sharing::rebalance_mid_stream,
            sharing::drained_lease_passes_without_redelivery,
            sharing::lease_passes_to_another_instance,
            sharing::stale_lease_settlement_ignored,
            sharing::several_groups_get_each_record,
            sharing::group_added_later_begins_at_oldest,
            flowing::saturated_unsettled,
            flowing::held_channel_outlives_consumer_timeout,
            flowing::hold_gives_prefetched_back,
            flowing::hold_outlives_reassignment,
            flowing::add_and_remove_channels_of_an_intake,
            flowing::many_channels_in_one_intake,
            delaying::delayed_records_come_neither_early_nor_before_others_of_their_delay,
            delaying::delayed_survive_restart,
            declaring::settings_mismatch_refuses,
            declaring::verify_refuses_missing,
            declaring::what_is_not_there_is_refused,
            declaring::remove_refuses_nonempty,
            keeping::lag_is_right,
            keeping::observe_takes_nothing_away,
            keeping::keep_for_never_drops_unsettled,
            keeping::until_settled_keeps_nothing_settled,
            enduring::engine_restart_mid_stream,
            enduring::concurrent_close,
            enduring::place_is_kept_over_restarts,
        }
    };
    (@names [] $($module:ident :: $case:ident,)*) => { &[$(stringify!($case)),*] };
    (@tests [$fixture:ty] $($module:ident :: $case:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::conformance::run::<$fixture>(
                stringify!($case),
                $crate::conformance::$module::$case::<$fixture>,
            )
            .await;
        }
    )*};
    (@tests [$($fixture:ty)+] $($module:ident :: $case:ident,)*) => {
        $crate::conformance! { @beside [$($fixture)+] [$(($module $case))*] }
    };
    (@beside $fixtures:tt [$(($module:ident $case:ident))*]) => {$(
        #[test]
        fn $case() {
            $crate::conformance! { @one $fixtures $module $case }
        }
    )*};
    (@one [$($fixture:ty)+] $module:ident $case:ident) => {
        $crate::conformance::run_beside(stringify!($case), &[$((stringify!($fixture), || {
            let runtime = ::tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime for a case").block_on($crate::conformance::run::<$fixture>(
                stringify!($case),
                $crate::conformance::$module::$case::<$fixture>,
            ));
        })),+]);
    };
    ($($fixture:ty),+ $(,)?) => { $crate::conformance! { @list tests $($fixture)+ } };
}
