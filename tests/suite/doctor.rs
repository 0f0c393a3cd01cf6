//! `trunkline doctor`: each seeded fault is found, at its place and with what to do; a healthy set-up has no finding; nothing
//! is changed.

mod certificates;
mod embedded;
mod healthy;
mod kafka;
mod local;
mod platforms;
mod postgres;
mod rabbitmq;

use std::path::Path;

use serde_json::Value;
use trunkline_tests::command::{self, Printed};

/// What `doctor --json` said.
#[derive(Debug)]
struct Told {
    lines: Vec<Value>,
}

impl Told {
    /// Runs it to its end in a folder with a `trunkline.yaml`.
    async fn of(folder: &Path, arguments: &[&str], environment: &[(&str, &str)], code: i32) -> Self {
        let all = [&["doctor", "-c", "trunkline.yaml", "--json"], arguments].concat();
        let environment: Vec<(String, String)> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let printed: Printed = command::run(&all, folder, &environment).await.expect(code);
        Self { lines: printed.lines() }
    }

    /// The same, however it ends.
    async fn of_any(folder: &Path) -> Self {
        let printed = command::run(&["doctor", "-c", "trunkline.yaml", "--json"], folder, &[]).await;
        Self { lines: printed.lines() }
    }

    /// The same for a configuration of its own, in a folder that is there for it alone.
    async fn of_text(text: &str, code: i32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
        Self::of(folder.path(), &[], &[], code).await
    }

    fn findings(&self) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["code"].is_string()).collect()
    }

    /// Asserts a finding: its code, its place (`LINE PATH`), and what message and hint hold.
    #[track_caller]
    fn has(&self, code: &str, place: &str, message: &str, hint: &str) {
        let fits = |finding: &&&Value| {
            let at = format!("{} {}", finding["line"], finding["path"].as_str().unwrap_or_default());
            let says = |key: &str, part: &str| finding[key].as_str().unwrap_or_default().contains(part);
            finding["code"] == code && at == place && says("message", message) && says("hint", hint)
        };
        let found = self.findings().iter().find(fits).is_some();
        assert!(found, "no {code} at `{place}` with `{message}` and `{hint}` in {:#?}", self.lines);
        let file = &self.findings()[0]["file"];
        assert!(file.as_str().is_some_and(|file| file.ends_with("trunkline.yaml")), "{file}");
    }

    /// Asserts that there is nothing but so many findings.
    #[track_caller]
    fn counts(&self, findings: usize) {
        assert_eq!(self.findings().len(), findings, "{:#?}", self.lines);
        assert_eq!(self.lines.last().unwrap()["findings"], findings, "the last line sums up");
    }

    /// What was seen or not looked at of a part, one a line.
    fn said(&self, word: &str, part: &str) -> String {
        let lines = self.lines.iter().filter(|line| line["part"] == part);
        lines.filter_map(|line| line[word].as_str()).map(|text| format!("{text}\n")).collect()
    }
}
