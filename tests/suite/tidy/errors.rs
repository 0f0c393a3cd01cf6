//! Every error code has its page, and every page its code.

use std::collections::BTreeSet;

use trunkline_tests::workspace;

/// Codes are written as string constants in the codes' own files.
fn codes() -> BTreeSet<String> {
    let files =
        ["crates/core/src/config/codes.rs", "crates/sdk/src/config/code.rs", "crates/rules/src/codes.rs"];
    let text: String = files.iter().map(|file| workspace::read(file)).collect();
    text.split('"').filter(|part| part.starts_with("TL-")).map(str::to_owned).collect()
}

#[test]
fn codes_and_pages_agree() {
    let codes = codes();
    assert!(codes.len() > 20, "only {} codes were read", codes.len());
    let folder = workspace::root().join("docs/errors");
    let pages: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().to_str().unwrap().strip_suffix(".md").map(str::to_owned)
        })
        .filter(|name| name.starts_with("TL-"))
        .collect();
    assert_eq!(codes, pages, "codes on the left, pages of docs/errors on the right");
    for page in &pages {
        let text = workspace::read(&format!("docs/errors/{page}.md"));
        for part in ["**What happened.**", "**What is safe.**", "**What to do.**"] {
            assert!(text.contains(part), "docs/errors/{page}.md lacks {part}");
        }
    }
}
