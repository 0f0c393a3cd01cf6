//! What `deploy/` watches is there: each metric in the code, each alarm in docs/operations.md.

use std::collections::BTreeSet;

use serde_json::Value;
use trunkline_tests::watching::{DASHBOARD, RULES, queries, rules};
use trunkline_tests::workspace;

/// The names that are constants in the metrics' own file.
fn metrics() -> BTreeSet<String> {
    let text = workspace::read("crates/sdk/src/metric.rs");
    let constants = text.lines().filter_map(|line| line.strip_prefix("pub const ")?.split('"').nth(1));
    let names: BTreeSet<String> = constants.map(str::to_owned).collect();
    assert!(names.len() > 40, "only {} metrics were read", names.len());
    names
}

/// The words of an expression that are metrics of ours; recorded series, which have colons in them, left out.
fn named(expression: &str) -> impl Iterator<Item = &str> {
    let words =
        expression.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':')));
    words.filter(|word| {
        (word.starts_with("trunkline_") || word.starts_with("process_")) && !word.contains(':')
    })
}

#[test]
fn every_metric_in_deploy_is_in_the_code() {
    let known = metrics();
    let mut asked: Vec<(String, String)> =
        rules(&workspace::read(RULES)).into_iter().map(|rule| (rule.name, rule.expression)).collect();
    asked.extend(queries());
    let mut found = 0;
    for (place, expression) in &asked {
        for name in named(expression) {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            assert!(
                known.contains(name) || of_histogram.is_some_and(|name| known.contains(name)),
                "`{place}` of {RULES} or {DASHBOARD} asks for {name}, which nothing tells"
            );
            found += 1;
        }
    }
    assert!(found > 50, "only {found} metrics are asked for");
}

#[test]
fn every_recorded_series_that_is_asked_for_is_recorded() {
    let rules = rules(&workspace::read(RULES));
    let expressions =
        rules.iter().map(|rule| rule.expression.clone()).chain(queries().into_iter().map(|query| query.1));
    for expression in expressions {
        let words =
            expression.split(|letter: char| !(letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':')));
        for word in words.filter(|word| word.starts_with("trunkline:")) {
            assert!(rules.iter().any(|rule| !rule.alarm && rule.name == word), "nobody records {word}");
        }
    }
}

#[test]
fn panels_of_the_dashboard_have_ids_of_their_own_and_places_of_their_own() {
    let dashboard: Value = serde_json::from_str(&workspace::read(DASHBOARD)).unwrap();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have the id of {}", panel["title"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= 24, "{} is outside of the grid", panel["title"]);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{} covers another panel", panel["title"]);
        }
        // Grafana takes the data source that is chosen above the dashboard.
        let chosen = |part: &Value| part["datasource"]["uid"] == "${datasource}";
        let asks = panel["targets"].as_array().into_iter().flatten();
        assert!(
            panel["type"] == "row" || chosen(panel) && asks.into_iter().all(chosen),
            "{}",
            panel["title"]
        );
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&Value> = variables.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["datasource", "job"]);
}

#[test]
fn every_alarm_says_what_to_do_and_has_its_section() {
    let operations = workspace::read("docs/operations.md");
    let sections: BTreeSet<&str> = operations
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|name| name.starts_with("Trunkline"))
        .collect();
    let rules = rules(&workspace::read(RULES));
    let alarms: BTreeSet<&str> =
        rules.iter().filter(|rule| rule.alarm).map(|rule| rule.name.as_str()).collect();
    assert_eq!(sections, alarms, "sections of docs/operations.md on the left, alarms on the right");
    for rule in rules.iter().filter(|rule| rule.alarm) {
        for annotation in ["summary", "action"] {
            let said = rule.annotation(annotation).unwrap_or_default();
            assert!(said.len() > 10, "{} has no {annotation}", rule.name);
        }
        let anchor = format!("docs/operations.md#{}", rule.name.to_lowercase());
        assert_eq!(rule.annotation("runbook"), Some(anchor.as_str()), "{}", rule.name);
    }
}
