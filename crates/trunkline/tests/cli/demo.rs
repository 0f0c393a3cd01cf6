//! `demo`: it ends by itself, in time, and its account balances.

use std::time::{Duration, Instant};

use crate::binary::Folder;

/// The demo's promise is a minute.
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_demo_ends_with_an_account_that_balances() {
    let began = Instant::now();
    let demo = Folder::new("").run(&["demo"]).ok().stdout;
    assert!(began.elapsed() < MINUTE);
    for expected in [
        "203 accepted = 202 routed + 1 filtered + 0 undecodable  (besides 1 duplicate)",
        "295 made = 295 delivered + 0 dead + 0 discarded + 0 in flight + 0 held",
        "201 delivered, 0 dead again; the ERP has 201 orders",
        "refused    401",
        "crm: 93 of 93 paid orders above 100.00 EUR; the CRM found 0 signatures wrong",
        "balanced",
    ] {
        assert!(demo.contains(expected), "{expected} is not in\n{demo}");
    }
    assert!(!demo.contains(|c: char| c.is_control() && c != '\n'), "no colours where nobody looks on");
}

#[test]
fn a_platform_that_keeps_failing_leaves_its_dead_letters() {
    let demo = Folder::new("").run(&["demo", "--keep-failing"]).ok().stdout;
    assert!(
        demo.contains("295 made = 94 delivered + 201 dead + 0 discarded + 0 in flight + 0 held"),
        "{demo}"
    );
    assert!(demo.contains("balanced"), "{demo}");
}
