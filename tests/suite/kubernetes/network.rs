//! Network policies permit exactly what is used: no port more, none less.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::document;
use super::objects::{Overlay, labels, list, named, selects};
use super::service::Service;

/// Protocol and port.
type Ports = BTreeSet<(String, u64)>;

/// What is no public address: the http destination refuses to call it, too.
const PRIVATE: [&str; 2] = [
    r#"["10.0.0.0/8","100.64.0.0/10","169.254.0.0/16","172.16.0.0/12","192.168.0.0/16"]"#,
    r#"["fc00::/7","fe80::/10"]"#,
];

pub(super) fn findings(overlay: &Overlay) -> Vec<String> {
    let mut found = Vec::new();
    for deployment in overlay.all("Deployment") {
        let service = Service::of(deployment);
        let policies: Vec<&Value> = overlay
            .all("NetworkPolicy")
            .filter(|policy| selects(&policy["spec"]["podSelector"]["matchLabels"], labels(deployment)))
            .collect();
        for (direction, rules, wanted) in [
            ("Ingress", "/spec/ingress", own(&service)),
            ("Egress", "/spec/egress", needed(overlay, &service)),
        ] {
            let governs = |policy: &&Value| list(policy, "/spec/policyTypes").contains(&json!(direction));
            if !policies.iter().any(|policy| governs(policy) && list(policy, rules).is_empty()) {
                found.push(format!(
                    "{}: {direction} is not denied where no rule permits it",
                    named(deployment)
                ));
            }
            let rules =
                policies.iter().filter(|policy| governs(policy)).flat_map(|policy| list(policy, rules));
            match rules.map(|rule| ports(rule, &service)).collect::<Option<Vec<Ports>>>() {
                None => found.push(format!("{}: {direction} to every port", named(deployment))),
                Some(permitted) => {
                    let permitted: Ports = permitted.into_iter().flatten().collect();
                    if permitted != wanted {
                        found.push(format!(
                            "{}: {direction} is permitted for {permitted:?}, used are {wanted:?}",
                            named(deployment)
                        ));
                    }
                }
            }
        }
    }
    found.extend(overlay.all("NetworkPolicy").flat_map(peers));
    found
}

/// The ports of a rule; `None` where it means all.
fn ports(rule: &Value, service: &Service<'_>) -> Option<Ports> {
    let ports = list(rule, "/ports").iter().map(|port| {
        let number = match &port["port"] {
            Value::String(name) => service.port(name),
            number => number.as_u64(),
        };
        Some((port["protocol"].as_str()?.to_owned(), number?))
    });
    let ports = ports.collect::<Option<Ports>>()?;
    (!ports.is_empty()).then_some(ports)
}

/// The ports that it listens at.
fn own(service: &Service<'_>) -> Ports {
    tcp(list(service.container, "/ports").iter().filter_map(|port| port["containerPort"].as_u64()))
}

/// The ports that it calls: names, the store, the broker; of platforms too, where it delivers to them.
fn needed(overlay: &Overlay, service: &Service<'_>) -> Ports {
    let mut needed = tcp([53].into_iter().chain(document::store_port(overlay.name)));
    needed.insert(("UDP".to_owned(), 53));
    needed.extend(tcp(document::broker_ports(overlay.name)));
    if service.name == "dispatcher" {
        needed.extend(tcp([443]));
    }
    needed
}

fn tcp(ports: impl IntoIterator<Item = u64>) -> Ports {
    ports.into_iter().map(|port| ("TCP".to_owned(), port)).collect()
}

/// Who is on the other side: what only some may reach is not open to all, and the way to the world leads to the world only.
fn peers(policy: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for rule in list(policy, "/spec/ingress") {
        let public = list(rule, "/ports").iter().all(|port| port["port"] == "http")
            && policy.pointer("/spec/podSelector/matchLabels/app.kubernetes.io~1component")
                == Some(&"gateway".into());
        if list(rule, "/from").is_empty() && !public {
            found.push(format!("{}: everybody may come in", named(policy)));
        }
    }
    for block in list(policy, "/spec/egress").iter().flat_map(|rule| list(rule, "/to")) {
        let Some(block) = block.get("ipBlock") else { continue };
        let spared = block["except"].to_string();
        if !PRIVATE.contains(&spared.as_str()) {
            found.push(format!("{}: leads into private networks", named(policy)));
        }
    }
    let platforms = list(policy, "/spec/egress").iter().any(|rule| {
        list(rule, "/ports").iter().any(|port| port["port"] == 443) && list(rule, "/to").is_empty()
    });
    if platforms {
        found.push(format!("{}: leads into private networks", named(policy)));
    }
    found
}
