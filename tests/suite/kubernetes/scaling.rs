//! Autoscalers ask for what is told, and stay within what can have work.

use serde_json::Value;
use trunkline_core::config::{Node, NodeValue};
use trunkline_sdk::broker::{ChannelName, GroupName};
use trunkline_tests::workspace;

use super::objects::{Overlay, documents, list, named};

/// The rule by which prometheus-adapter serves the metric.
const ADAPTER: &str = "deploy/kubernetes/prometheus/adapter.yml";

pub(super) fn findings(overlay: &Overlay) -> Vec<String> {
    let mut found = Vec::new();
    for deployment in overlay.all("Deployment") {
        let name = &deployment["metadata"]["name"];
        let scaled = overlay.all("HorizontalPodAutoscaler").any(|scaler| {
            let target = &scaler["spec"]["scaleTargetRef"];
            target["name"] == *name && target["kind"] == "Deployment" && target["apiVersion"] == "apps/v1"
        });
        if scaled == deployment["spec"].get("replicas").is_some() {
            found.push(format!("{}: its replicas are said twice or never", named(deployment)));
        }
    }
    for scaler in overlay.all("HorizontalPodAutoscaler") {
        found.extend(of_scaler(overlay, scaler).into_iter().map(|what| format!("{}: {what}", named(scaler))));
    }
    found
}

fn of_scaler(overlay: &Overlay, scaler: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let target = &scaler["spec"]["scaleTargetRef"]["name"];
    let Some(deployment) = overlay.all("Deployment").find(|other| other["metadata"]["name"] == *target)
    else {
        return vec![format!("scales {target}, which is not there")];
    };
    let (least, most) = (scaler["spec"]["minReplicas"].as_u64(), scaler["spec"]["maxReplicas"].as_u64());
    if least.unwrap_or(1) < 2 {
        found.push("one pod alone is none while it is replaced".to_owned());
    }
    let configuration = overlay.configuration();
    let partitions = configuration.get("channels").and_then(|channels| channels.get("partitions"));
    let Some(NodeValue::Integer(partitions)) = partitions.map(|node: &Node| node.value.clone()) else {
        return vec!["the configuration says no number of partitions".to_owned()];
    };
    if target == "trunkline-router" && most.and_then(|most| i64::try_from(most).ok()) > Some(partitions) {
        found.push(format!("more routers than {partitions} partitions would idle"));
    }
    for metric in list(scaler, "/spec/metrics") {
        match metric["type"].as_str() {
            Some("External") => found.extend(of_metric(target, metric)),
            Some("Resource") => {
                let container = &deployment["spec"]["template"]["spec"]["containers"][0];
                let resource = metric["resource"]["name"].as_str().unwrap_or("?");
                if container["resources"]["requests"].get(resource).is_none() {
                    found.push(format!("is measured by {resource}, of which its pods request none"));
                }
            }
            other => found.push(format!("a metric of type {other:?}")),
        }
    }
    found
}

/// The metric is in the code, its labels have the values that the code gives them, and the adapter serves it with them.
fn of_metric(target: &Value, metric: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let name = metric.pointer("/external/metric/name").and_then(Value::as_str).unwrap_or("?");
    if !workspace::read("crates/sdk/src/metric.rs")
        .contains(&format!("pub const CHANNEL_LAG: &str = \"{name}\";"))
    {
        found.push(format!("{name} is not what the console tells lags as"));
    }
    let asked = metric.pointer("/external/metric/selector/matchLabels").unwrap_or(&Value::Null);
    let wanted = match target.as_str() {
        Some("trunkline-router") => {
            serde_json::json!({ "channel": ChannelName::events().as_str(), "group": GroupName::router().as_str() })
        }
        _ => serde_json::json!({ "group": GroupName::dispatcher().as_str() }),
    };
    if *asked != wanted {
        found.push(format!("asks for {asked} and not for {wanted}"));
    }
    let served = documents(&workspace::root().join(ADAPTER));
    let rule = list(&served[0], "/externalRules").iter().find(|rule| {
        rule["seriesQuery"].as_str().is_some_and(|query| query.starts_with(&format!("{name}{{")))
    });
    let query = rule.and_then(|rule| rule["metricsQuery"].as_str()).unwrap_or("");
    if query != "max by (channel, group) (<<.Series>>{<<.LabelMatchers>>})" {
        found.push(format!("{ADAPTER} serves {name} by `{query}`"));
    }
    found
}
