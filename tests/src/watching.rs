//! What `deploy/` watches a bus with: the rules of Prometheus and the dashboard of Grafana, as a test reads them.

use serde_json::Value;
use trunkline_core::config::{Node, NodeValue, parse};

use crate::workspace;

/// The rules' file.
pub const RULES: &str = "deploy/prometheus/trunkline.rules.yml";
/// The dashboard's file.
pub const DASHBOARD: &str = "deploy/grafana/dashboards/trunkline.json";

/// Times and amounts of the rules that no test can wait for, with those that stand in their place in a test.
const SHORT: [(&str, &str); 10] = [
    ("[1h]", "[15s]"),
    ("offset 1d", "offset 20s"),
    ("[15m]", "[30s]"),
    ("[5m]", "[30s]"),
    ("for: 1m", "for: 2s"),
    ("for: 2m", "for: 5s"),
    ("for: 5m", "for: 2s"),
    ("for: 10m", "for: 2s"),
    ("for: 12h", "for: 2s"),
    ("> 900", "> 6"),
];

/// One rule: a recorded series or an alarm.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The series, or the alarm.
    pub name: String,
    /// Whether it is an alarm.
    pub alarm: bool,
    /// What is evaluated.
    pub expression: String,
    /// What an alarm says beside its name.
    pub annotations: Vec<(String, String)>,
}

/// The rules with times that a test can wait for. Nothing else is changed.
pub fn short_rules() -> String {
    SHORT.iter().fold(workspace::read(RULES), |text, (long, short)| {
        assert!(text.contains(long), "{long} is in no rule any more");
        text.replace(long, short)
    })
}

/// Every rule in a text of rules.
pub fn rules(text: &str) -> Vec<Rule> {
    let root = parse(RULES, text).unwrap();
    let mut rules = Vec::new();
    for group in items(root.get("groups").unwrap()) {
        for rule in items(group.get("rules").unwrap()) {
            let said = |name: &str| rule.get(name).and_then(Node::as_text).map(str::to_owned);
            let annotations = rule.get("annotations").into_iter().flat_map(Node::entries);
            rules.push(Rule {
                alarm: rule.get("alert").is_some(),
                name: said("alert").or_else(|| said("record")).unwrap(),
                expression: said("expr").unwrap(),
                annotations: annotations
                    .map(|(key, value)| (key.name.to_string(), value.as_text().unwrap().to_owned()))
                    .collect(),
            });
        }
    }
    assert!(rules.len() > 10, "only {} rules were read", rules.len());
    rules
}

fn items(node: &Node) -> &[Node] {
    let NodeValue::List(items) = &node.value else { panic!("{node:?} is no list") };
    items
}

impl Rule {
    /// What must be there on every bus: the expression without the comparisons that make an alarm of it.
    pub fn sides(&self) -> Vec<String> {
        let compared = |part: &str| {
            part.rsplit_once(" > ").or_else(|| part.rsplit_once(" == ")).map(|(left, _)| left.to_owned())
        };
        let parts = self.expression.split(" and ");
        parts.map(|part| compared(part).unwrap_or_else(|| part.to_owned())).collect()
    }

    /// An annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// Every query of the dashboard, with its panel, for the bus that is scraped as job `trunkline`.
pub fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&workspace::read(DASHBOARD)).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "panel `{title}` asks nothing");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            // What Grafana puts in; a bus of a test has not run for longer.
            let query = query.replace("$job", "trunkline").replace("$__rate_interval", "1m");
            assert!(!query.contains('$'), "`{query}` of `{title}` has a variable that nobody sets");
            queries.push((title.to_owned(), query));
        }
    }
    assert!(queries.len() > 30, "only {} queries were read", queries.len());
    queries
}
