//! Every probe at a tiny size: it runs, and its own check finds everything it sent.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

#[test]
fn every_probe_runs_and_accounts_for_its_records() {
    // `idle` starts the binary that stands beside this one.
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--quiet", "--workspace", "--bin", "trunkline"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status()
        .unwrap();
    assert!(built.success());
    let measured = Command::new(env!("CARGO_BIN_EXE_trunkline-bench"))
        .args(["--rounds", "1", "--divide", "100"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&measured.stdout);
    assert!(measured.status.success(), "{printed}\n{}", String::from_utf8_lossy(&measured.stderr));
    for (probe, lines) in [("embedded: ", 3), ("route: ", 2), ("match: ", 4), ("gateway: ", 2), ("idle: ", 2)]
    {
        assert_eq!(printed.lines().filter(|line| line.starts_with(probe)).count(), lines, "{printed}");
    }
}
