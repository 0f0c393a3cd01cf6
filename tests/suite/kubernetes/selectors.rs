//! What selects pods selects those that it is meant to.

use serde_json::Value;

use super::objects::{Overlay, labels, list, named, selects};

pub(super) fn findings(overlay: &Overlay) -> Vec<String> {
    let deployments: Vec<&Value> = overlay.all("Deployment").collect();
    let mut found = Vec::new();
    for deployment in &deployments {
        found.extend(of_deployment(deployment));
        let named_alike = |budget: &&Value| budget["metadata"]["name"] == deployment["metadata"]["name"];
        if !overlay.all("PodDisruptionBudget").any(|budget| named_alike(&budget)) {
            found.push(format!("{}: no disruption budget", named(deployment)));
        }
    }
    for (kind, pointer) in
        [("Service", "/spec/selector"), ("PodDisruptionBudget", "/spec/selector/matchLabels")]
    {
        for object in overlay.all(kind) {
            let selector = object.pointer(pointer).unwrap_or(&Value::Null);
            let selected: Vec<&&Value> =
                deployments.iter().filter(|deployment| selects(selector, labels(deployment))).collect();
            match selected[..] {
                [deployment] if deployment["metadata"]["name"] == object["metadata"]["name"] => {
                    found.extend(of_service(object, deployment));
                }
                _ => found.push(format!(
                    "{}: selects {:?}",
                    named(object),
                    selected.iter().map(|deployment| named(deployment)).collect::<Vec<_>>()
                )),
            }
        }
    }
    for budget in overlay.all("PodDisruptionBudget") {
        if budget["spec"]["maxUnavailable"] != 1 {
            found.push(format!("{}: one pod at a time must be able to go", named(budget)));
        }
        if budget["spec"]["unhealthyPodEvictionPolicy"] != "AlwaysAllow" {
            found.push(format!("{}: keeps nodes from being emptied while no pod is ready", named(budget)));
        }
    }
    found
}

/// A Deployment finds its own pods, and spreads them and no others.
fn of_deployment(deployment: &Value) -> Vec<String> {
    let mut selectors = vec![&deployment["spec"]["selector"]["matchLabels"]];
    let spread = list(deployment, "/spec/template/spec/topologySpreadConstraints");
    selectors.extend(spread.iter().map(|constraint| &constraint["labelSelector"]["matchLabels"]));
    let wanted = "app.kubernetes.io/component";
    let right = |selector: &&Value| {
        selects(selector, labels(deployment))
            && selector.get(wanted) == deployment["metadata"]["labels"].get(wanted)
    };
    let mut found = Vec::new();
    if spread.len() != 2 {
        found.push(format!("{}: is to be spread over zones and nodes", named(deployment)));
    }
    if !selectors.iter().all(right) {
        found.push(format!("{}: a selector does not fit the labels of its pods", named(deployment)));
    }
    found
}

/// A Service's ports are ports of the pods, and what closes a pod's door gives others the time to notice.
fn of_service(service: &Value, deployment: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    for port in list(service, "/spec/ports") {
        let target = list(container, "/ports").iter().find(|named| named["name"] == port["targetPort"]);
        if target.is_none_or(|target| target["containerPort"] != port["port"]) {
            found.push(format!("{}: port {} is none of its pods", named(service), port["port"]));
        }
    }
    let waits = container.pointer("/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64);
    if service["kind"] == "Service" && waits.unwrap_or(0) < 5 {
        found.push(format!("{}: stops before nobody calls it any more", named(deployment)));
    }
    found
}
