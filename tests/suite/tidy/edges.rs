//! The crates form one line; imports point to its left only (ARCHITECTURE.md, "Code map").

use cargo_metadata::DependencyKind;
use trunkline_tests::workspace;

/// The line, from left to right. Crates of one rank do not import each other.
const RANKS: [&[&str]; 8] = [
    &["trunkline-proto"],
    &["trunkline-core"],
    &["trunkline-rules", "trunkline-broker", "trunkline-store"],
    &["trunkline-embedded", "trunkline-kafka", "trunkline-rabbitmq"],
    &["trunkline-sdk"],
    &["trunkline-adapters"],
    &["trunkline-gateway", "trunkline-router", "trunkline-dispatcher", "trunkline-console"],
    &["trunkline"],
];

/// Developers' tools, which stand outside the line; what each may import is what it measures or tests.
const OUTSIDE: [&str; 3] = ["trunkline-bench", "trunkline-tests", TOOLS];

/// Any crate's tests may ask it for brokers, because it imports none of ours.
const TOOLS: &str = "xtask";

fn rank(name: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&name))
}

#[test]
fn crates_import_only_to_their_left() {
    let metadata = workspace::metadata();
    let mut wrong = Vec::new();
    let mut edges = 0;
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if OUTSIDE.contains(&name) {
            continue;
        }
        let own =
            rank(name).unwrap_or_else(|| panic!("{name} has no place in the line; give it one in RANKS"));
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            edges += 1;
            match rank(&dependency.name) {
                Some(other) if other < own => {}
                _ if dependency.name == name => {}
                _ if dependency.name == TOOLS && dependency.kind == DependencyKind::Development => {}
                _ => wrong.push(format!("{name} -> {}", dependency.name)),
            }
        }
    }
    assert!(edges > 15, "the metadata shows {edges} edges: is it read right?");
    assert!(wrong.is_empty(), "edges to the right or sideways: {wrong:?}");
}

#[test]
fn the_developers_tools_import_none_of_ours() {
    let metadata = workspace::metadata();
    let tools =
        metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == TOOLS).unwrap();
    let ours: Vec<_> = tools.dependencies.iter().filter(|dependency| dependency.path.is_some()).collect();
    assert!(ours.is_empty(), "{TOOLS} imports {ours:?}");
}

#[test]
fn the_sdk_compiles_neither_vrl_nor_other_engines() {
    let tree = workspace::cargo(&[
        "tree",
        "-p",
        "trunkline-sdk",
        "-e",
        "normal",
        "--no-default-features",
        "--prefix",
        "none",
    ]);
    for forbidden in ["vrl ", "trunkline-rules ", "trunkline-embedded ", "rusqlite ", "rdkafka ", "lapin "] {
        assert!(!tree.lines().any(|line| line.starts_with(forbidden)), "trunkline-sdk pulls in {forbidden}");
    }
    assert!(tree.contains("trunkline-core "), "cargo tree printed something else:\n{tree}");
}
