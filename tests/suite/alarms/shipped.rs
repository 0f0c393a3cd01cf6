//! The files as they are shipped.

use trunkline_tests::prometheus::Prometheus;
use trunkline_tests::watching::{RULES, rules};
use trunkline_tests::workspace;

use super::{damaged, faults, servers};

#[test]
fn promtool_finds_nothing_to_say_of_the_rules_and_the_configuration() {
    if !Prometheus::is_here("promtool_finds_nothing_to_say_of_the_rules_and_the_configuration") {
        return;
    }
    Prometheus::judge("rules", &workspace::root().join(RULES));
    Prometheus::judge("config", &workspace::root().join("deploy/prometheus/prometheus.yml"));
}

#[test]
fn every_alarm_is_made_to_fire_by_some_test() {
    let mut tried = [faults::ALARMS, servers::ALARMS, damaged::ALARMS].concat();
    tried.sort_unstable();
    let rules = rules(&workspace::read(RULES));
    let mut shipped: Vec<&str> =
        rules.iter().filter(|rule| rule.alarm).map(|rule| rule.name.as_str()).collect();
    shipped.sort_unstable();
    assert_eq!(tried, shipped, "tried on the left, shipped on the right");
}
