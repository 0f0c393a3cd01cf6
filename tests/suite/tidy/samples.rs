//! Every configuration that stands in deploy/, in docs/ or in a README loads: the samples are the reference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use trunkline_tests::{command, workspace};

/// A configuration in a file of its own, or in a block of a document, with the line it begins at.
struct Sample {
    place: String,
    text: String,
}

fn is_configuration(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "version: 1")
}

/// The blocks marked as YAML in a document that are whole configurations.
fn blocks(path: &Path, text: &str) -> Vec<Sample> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if !matches!(line.trim(), "```yaml" | "```yml") {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let block = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
        let text: String = block.map(|line| format!("{}\n", line.get(indent..).unwrap_or(""))).collect();
        if is_configuration(&text) {
            found.push(Sample { place: format!("{}:{}", path.display(), number + 2), text });
        }
    }
    found
}

fn samples() -> Vec<Sample> {
    let has = |path: &Path, endings: &[&str]| {
        path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted))
    };
    let mut samples = Vec::new();
    for (path, text) in workspace::text_files() {
        if has(&path, &["md"]) {
            samples.extend(blocks(&path, &text));
        } else if has(&path, &["yaml", "yml"]) && !path.starts_with("crates") && is_configuration(&text) {
            samples.push(Sample { place: path.display().to_string(), text });
        }
    }
    samples
}

/// The environment variables that a configuration names; a sample is not to be judged by what is set here.
fn environment(text: &str) -> Vec<(String, String)> {
    let names: BTreeSet<&str> =
        text.split("${env:").skip(1).filter_map(|rest| rest.split('}').next()).collect();
    // A secret of Standard Webhooks, which every other secret may be, too.
    names
        .into_iter()
        .map(|name| (name.to_owned(), "whsec_c2FtcGxlLXNlY3JldC1vZi10aGUtdGlkeS10ZXN0".to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_loads() {
    let samples = samples();
    assert!(!samples.is_empty(), "no sample was found");
    let mut wrong = Vec::new();
    for Sample { place, text } in &samples {
        // An adapter of a team's own is not in this binary.
        if place.starts_with("tests/outside") {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let file: PathBuf = folder.path().join("trunkline.yaml");
        std::fs::write(&file, text).unwrap();
        let printed =
            command::run(&["check", "-c", "trunkline.yaml"], folder.path(), &environment(text)).await;
        if printed.code != Some(0) {
            wrong.push(format!("{place}:\n{}{}", printed.out, printed.err));
        }
    }
    println!("{} samples", samples.len());
    assert!(wrong.is_empty(), "samples that do not load:\n{}", wrong.join("\n"));
}

#[test]
fn blocks_are_found_in_documents() {
    let text =
        "a\n```yaml\nversion: 1\nb: 2\n```\n```yaml\nnot: whole\n```\n- x\n  ```yaml\n  version: 1\n  ```\n";
    let found = blocks(Path::new("x.md"), text);
    let found: Vec<_> = found.iter().map(|sample| (sample.place.as_str(), sample.text.as_str())).collect();
    assert_eq!(found, [("x.md:3", "version: 1\nb: 2\n"), ("x.md:11", "version: 1\n")]);
}
