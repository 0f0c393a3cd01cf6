//! The JSON Schema for editors that is checked in is what the binary prints.

use std::process::Command;

use trunkline_tests::workspace;

#[test]
fn the_schema_is_what_the_binary_prints() {
    let output = Command::new(workspace::trunkline()).arg("schema").output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed == workspace::read("deploy/trunkline.schema.json"),
        "run: cargo run --release -- schema > deploy/trunkline.schema.json"
    );
}
