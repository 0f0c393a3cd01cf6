//! No unfinished work on main, and no generated file edited by hand.

use trunkline_tests::workspace;

#[test]
fn nothing_is_marked_unfinished() {
    // Written in two halves so that this file does not find itself.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["todo", "!("], ["unimplemented", "!("]];
    let marks: Vec<String> = marks.iter().map(|halves| halves.concat()).collect();
    let mut found = Vec::new();
    let mut files = 0;
    for (path, text) in workspace::text_files() {
        files += 1;
        for (number, line) in text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(files > 100, "only {files} files were read");
    assert!(found.is_empty(), "unfinished:\n{}", found.join("\n"));
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for package in workspace::metadata().workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{} has lints of its own", package.name);
    }
}
