//! Pods: their rights, what they mount, what they are asked, how they end, which ports they have.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use trunkline_core::config::{DurationSetting, Node};
use trunkline_sdk::config::DestinationSettings;

use super::document;
use super::objects::{Overlay, list, named};
use super::service::{self, SECRETS, Service};

/// What a process takes to end after its grace period: it names what is left, says goodbye to the broker and closes its
/// listeners.
const CLOSING: u64 = 10;

pub(super) fn findings(overlay: &Overlay) -> Vec<String> {
    let configuration = overlay.configuration();
    let mut found = Vec::new();
    for deployment in overlay.all("Deployment") {
        let service = Service::of(deployment);
        let mut say = |wrong: bool, what: &str| {
            if wrong {
                found.push(format!("{}: {what}", named(deployment)));
            }
        };
        say(list(service.pod, "/containers").len() != 1, "has not one container");
        say(
            service.arguments().get(..2) != Some(&["run".to_owned(), service.name.to_owned()]),
            "runs another",
        );
        restricted(&service, &mut say);
        account(overlay, &service, &mut say);
        probes(&service, &mut say);
        ports(&service, &configuration, &mut say);
        end(&service, &configuration, &mut say);
        mounts(overlay, &service, &mut say);
    }
    let services: BTreeSet<&str> = Service::all(overlay).iter().map(|service| service.name).collect();
    if services != BTreeSet::from(["gateway", "router", "dispatcher", "console"]) {
        found.push(format!("the services are {services:?}"));
    }
    found.extend(references(overlay));
    found
}

/// What the Pod Security Standard `restricted` asks for, and a root file system that nobody writes to.
fn restricted(service: &Service<'_>, say: &mut impl FnMut(bool, &str)) {
    let (pod, container) = (&service.pod["securityContext"], &service.container["securityContext"]);
    say(pod["runAsNonRoot"] != true, "may run as root");
    say(
        [&pod["runAsUser"], &pod["runAsGroup"], &pod["fsGroup"]] != [65532; 3],
        "runs as another than its image",
    );
    say(pod["seccompProfile"] != json!({ "type": "RuntimeDefault" }), "may make every system call");
    say(container["allowPrivilegeEscalation"] != false, "may get more rights");
    say(container["capabilities"] != json!({ "drop": ["ALL"] }), "has capabilities");
    say(container["readOnlyRootFilesystem"] != true, "may write to its image");
    let host = ["hostNetwork", "hostPID", "hostIPC"].iter().any(|field| service.pod[*field] == true);
    say(host, "is not apart from its node");
}

fn account(overlay: &Overlay, service: &Service<'_>, say: &mut impl FnMut(bool, &str)) {
    let mut accounts = overlay.all("ServiceAccount");
    let account = accounts.find(|account| account["metadata"]["name"] == service.pod["serviceAccountName"]);
    let tokenless = |object: &Value| object["automountServiceAccountToken"] == false;
    say(!account.is_some_and(tokenless) || !tokenless(service.pod), "has a token of the API");
}

/// Life is not readiness: a pod whose broker is away must not be restarted for it.
fn probes(service: &Service<'_>, say: &mut impl FnMut(bool, &str)) {
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        let asked = &service.container[probe]["httpGet"];
        say(*asked != json!({ "path": path, "port": "admin" }), &format!("{probe} does not ask {path}"));
    }
}

/// Ports are those at which the configuration lets the service listen, on every address of the pod.
fn ports(service: &Service<'_>, configuration: &Node, say: &mut impl FnMut(bool, &str)) {
    let section = configuration.get(service.name);
    for (key, port) in [("listen", "http"), ("admin", "admin")] {
        let address = section.and_then(|section| section.get(key)).and_then(Node::as_text);
        let told = service.port(port).map(|number| format!("0.0.0.0:{number}"));
        say(address.map(str::to_owned) != told, &format!("port {port} is not `{}.{key}`", service.name));
    }
    say(service.port("admin").is_none(), "has no port for probes");
}

/// Nothing is cut off: neither an attempt by the grace period, nor the grace period by the kubelet.
fn end(service: &Service<'_>, configuration: &Node, say: &mut impl FnMut(bool, &str)) {
    let arguments = service.arguments();
    let grace = arguments.iter().find_map(|argument| argument.strip_prefix("--grace="));
    let Some(grace) = grace.and_then(duration) else { return say(true, "does not say its grace period") };
    let before = service.container.pointer("/lifecycle/preStop/sleep/seconds").and_then(Value::as_u64);
    let permitted = service.pod["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    let needed = before.unwrap_or(0) + grace.as_secs() + CLOSING;
    say(permitted < needed, &format!("is killed after {permitted} s, but may need {needed} s to end"));
    if service.name != "dispatcher" {
        return;
    }
    let destinations = configuration.get("destinations").into_iter().flat_map(Node::entries);
    for (name, entry) in destinations {
        let timeout = entry.get("timeout").and_then(Node::as_text).and_then(duration);
        let timeout = timeout.unwrap_or(DestinationSettings::default().timeout);
        say(grace <= timeout, &format!("an attempt of {} may last longer than its grace", name.name));
    }
}

fn duration(text: &str) -> Option<Duration> {
    text.parse::<DurationSetting>().ok().map(|setting| setting.0)
}

/// Each Secret has a folder of its name, and only the process may read what is in it.
fn mounts(overlay: &Overlay, service: &Service<'_>, say: &mut impl FnMut(bool, &str)) {
    let count = list(service.container, "/volumeMounts").len();
    say(count != service.mounts().count() || count != list(service.pod, "/volumes").len(), "mounts amiss");
    let folder =
        list(service.container, "/env").iter().find(|variable| variable["name"] == "TRUNKLINE_CONFIG");
    let folder = folder.and_then(|variable| variable["value"].as_str()).unwrap_or("");
    for (volume, path) in service.mounts() {
        let Some(secret) = volume.get("secret") else {
            say(volume.pointer("/configMap/name").is_none() || path != folder, "reads another configuration");
            continue;
        };
        let name = secret["secretName"].as_str().unwrap_or("");
        let right = path.strip_prefix(SECRETS).is_some_and(|part| name == format!("trunkline-{part}"));
        say(!right, &format!("mounts {name} at {path}"));
        let mode = service::mode(volume);
        say(mode != 0o440, &format!("everybody may read {name} (mode {mode:o})"));
        let told = document::secrets(overlay.name);
        say(!told.contains_key(name), &format!("needs {name}, which docs/kubernetes.md does not make"));
    }
}

/// Every file that the configuration names is a key of a Secret that the document makes and some pod mounts.
fn references(overlay: &Overlay) -> Vec<String> {
    let told = document::secrets(overlay.name);
    let services = Service::all(overlay);
    let mounted: BTreeSet<&str> = services.iter().flat_map(Service::secrets).collect();
    let mut found = Vec::new();
    let mut named = BTreeSet::new();
    for text in overlay.configuration.values() {
        for rest in text.split(SECRETS).skip(1) {
            let path = rest.split(['}', '"', ' ', '\n']).next().unwrap_or("");
            let (part, key) = path.split_once('/').unwrap_or((path, ""));
            let secret = format!("trunkline-{part}");
            if !told.get(&secret).is_some_and(|keys| keys.contains_key(key)) {
                found.push(format!("{path} is no key that docs/kubernetes.md puts into a Secret"));
            }
            if !mounted.contains(secret.as_str()) {
                found.push(format!("nobody mounts {secret}"));
            }
            named.insert((secret, key.to_owned()));
        }
    }
    for (secret, keys) in &told {
        let idle = keys.keys().filter(|key| !named.contains(&(secret.clone(), (*key).clone())));
        found.extend(
            idle.map(|key| format!("docs/kubernetes.md puts {key} into {secret}, which nobody reads")),
        );
    }
    found
}
