//! Every check can fail: objects that were broken on purpose are found.

use serde_json::{Value, json};

use super::findings;
use super::objects::Overlay;

/// Takes a field away.
const GONE: Value = Value::Null;

/// Asserts that an overlay is found to be wrong, in words with `expected` in them, once a field of an object has this value.
#[track_caller]
fn check(overlay: &str, object: (&str, &str), field: &str, value: Value, expected: &str) {
    let mut broken = Overlay::of_files(if overlay == "kafka" { "kafka" } else { "rabbitmq" });
    let (kind, name) = object;
    let mut objects = broken.objects.iter_mut();
    let object = objects.find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    let (parent, key) = field.rsplit_once('/').unwrap();
    // As in a JSON pointer; the key itself is none.
    let key = &key.replace("~1", "/");
    let parent = object.unwrap().pointer_mut(parent).unwrap_or_else(|| panic!("{name} has no {parent}"));
    match parent {
        Value::Object(fields) if value == GONE => {
            assert!(fields.remove(key).is_some(), "{name} has no {field}");
        }
        Value::Object(fields) => {
            assert_ne!(fields.insert(key.to_owned(), value.clone()), Some(value), "{field} was so before");
        }
        Value::Array(items) if value == GONE => {
            items.remove(key.parse().unwrap());
        }
        other => panic!("{field}: {other}"),
    }
    assert!(
        findings(&broken).iter().any(|found| found.contains(expected)),
        "{name} {field}: `{expected}` is not in {:#?}",
        findings(&broken)
    );
}

const GATEWAY: (&str, &str) = ("Deployment", "trunkline-gateway");
const ROUTER: (&str, &str) = ("Deployment", "trunkline-router");
const DISPATCHER: (&str, &str) = ("Deployment", "trunkline-dispatcher");
const CONTAINER: &str = "/spec/template/spec/containers/0";

/// As [`check`], for a field of the gateway's container.
#[track_caller]
fn check_container(field: &str, value: Value, expected: &str) {
    check("kafka", GATEWAY, &format!("{CONTAINER}{field}"), value, expected);
}

#[test]
fn fields_that_the_api_does_not_know_are_found() {
    check("kafka", GATEWAY, "/spec/replica", json!(2), "replica");
    check("kafka", GATEWAY, "/spec/selector", GONE, "selector");
    check("kafka", GATEWAY, "/apiVersion", json!("apps/v2"), "no schema");
    check_container("/readinessProbe/httpGet/pth", json!("/"), "pth");
    check_container("/lifecycle/preStop/sleep/seconds", json!("10"), "seconds");
    check_container("/resources/limits/memory", json!(["1Gi"]), "/limits/memory");
    check_container("/resources/limits/memory", json!("1GB"), "/limits/memory");
    let budget = ("PodDisruptionBudget", "trunkline-router");
    check("kafka", budget, "/spec/maxUnavailable", json!(true), "/spec/maxUnavailable");
    check(
        "rabbitmq",
        ("NetworkPolicy", "trunkline-broker"),
        "/spec/policyType",
        json!(["Egress"]),
        "policyType",
    );
    check("kafka", ("HorizontalPodAutoscaler", "trunkline-router"), "/spec/maxReplicas", GONE, "maxReplicas");
    check("kafka", ("Service", "trunkline-gateway"), "/spec/ports/0/port", json!("http"), "port");
    check("kafka", ("Namespace", "trunkline"), "/metadata/labels/a", json!(1), "/metadata/labels/a");
}

#[test]
fn selectors_that_miss_are_found() {
    let part = "app.kubernetes.io~1component";
    let key = "app.kubernetes.io/component";
    check("kafka", ("Service", "trunkline-gateway"), "/spec/selector", json!({ key: "router" }), "selects");
    check("kafka", ("Service", "trunkline-gateway"), "/spec/selector", json!({}), "selects []");
    check(
        "kafka",
        ("Service", "trunkline-console"),
        "/spec/ports/0/targetPort",
        json!("web"),
        "none of its pods",
    );
    let budget = ("PodDisruptionBudget", "trunkline-router");
    check("kafka", budget, "/spec/selector", json!({ "matchLabels": { key: "gateway" } }), "selects");
    check("kafka", budget, "/spec/maxUnavailable", json!(0), "must be able to go");
    check("kafka", budget, "/spec/unhealthyPodEvictionPolicy", GONE, "from being emptied");
    check("kafka", budget, "/metadata/name", json!("another"), "no disruption budget");
    check("kafka", ROUTER, "/spec/selector/matchLabels", json!({ key: "gateway" }), "does not fit");
    check("kafka", ROUTER, &format!("/spec/template/metadata/labels/{part}"), GONE, "does not fit");
    check("kafka", ROUTER, "/spec/template/spec/topologySpreadConstraints", json!([]), "spread");
    check_container("/lifecycle", GONE, "nobody calls it");
}

#[test]
fn pods_with_more_rights_are_found() {
    let pod = |field: &str, value, expected| {
        check("kafka", ROUTER, &format!("/spec/template/spec{field}"), value, expected);
    };
    pod("/securityContext/runAsNonRoot", GONE, "root");
    pod("/securityContext/runAsUser", json!(0), "its image");
    pod("/securityContext/seccompProfile", GONE, "system call");
    pod("/automountServiceAccountToken", json!(true), "token");
    pod("/serviceAccountName", json!("default"), "token");
    pod("/hostNetwork", json!(true), "apart");
    check("kafka", ("ServiceAccount", "trunkline"), "/automountServiceAccountToken", GONE, "token");
    check_container("/securityContext/allowPrivilegeEscalation", GONE, "more rights");
    check_container("/securityContext/capabilities/add", json!(["NET_ADMIN"]), "capabilities");
    check_container("/securityContext/readOnlyRootFilesystem", json!(false), "write");
}

#[test]
fn pods_that_do_not_fit_the_binary_are_found() {
    check_container("/args", json!(["run", "router", "--grace=30s"]), "runs another");
    check_container("/args", json!(["run", "gateway", "--grace=50s"]), "may need 70 s");
    check_container("/args", json!(["run", "gateway"]), "does not say its grace");
    check(
        "kafka",
        GATEWAY,
        "/spec/template/spec/terminationGracePeriodSeconds",
        GONE,
        "is killed after 30 s",
    );
    let arguments = json!(["run", "dispatcher", "--grace=20s"]);
    check("kafka", DISPATCHER, &format!("{CONTAINER}/args"), arguments, "an attempt of crm");
    check_container("/livenessProbe/httpGet/path", json!("/readyz"), "livenessProbe");
    check_container("/readinessProbe/httpGet/port", json!("http"), "readinessProbe");
    check_container("/startupProbe", GONE, "startupProbe");
    check_container("/ports/0/containerPort", json!(80), "is not `gateway.listen`");
    check_container("/ports/1/containerPort", json!(9601), "is not `gateway.admin`");
    check_container("/env/0/value", json!("/etc"), "another configuration");
    check_container("/volumeMounts/1/mountPath", json!("/run/secrets/broker"), "mounts trunkline-broker at");
    check_container("/volumeMounts/1/name", json!("brokers"), "mounts amiss");
    let volume = "/spec/template/spec/volumes/3/secret";
    check("kafka", GATEWAY, &format!("{volume}/defaultMode"), GONE, "everybody may read");
    check("kafka", GATEWAY, &format!("{volume}/secretName"), json!("trunkline-keys"), "does not make");
    check(
        "kafka",
        DISPATCHER,
        "/spec/template/spec/volumes/3/secret/secretName",
        json!("x"),
        "nobody mounts",
    );
    check("kafka", DISPATCHER, "/kind", json!("StatefulSet"), "the services are");
}

#[test]
fn files_that_nobody_makes_or_reads_are_found() {
    let mut broken = Overlay::of_files("kafka");
    let text = broken.configuration["trunkline.yaml"].replace("sources/shop", "sources/market");
    broken.configuration.insert("trunkline.yaml".to_owned(), text);
    let found = findings(&broken).join("\n");
    assert!(found.contains("sources/market is no key") && found.contains("puts shop into"), "{found}");
}

#[test]
fn autoscalers_of_nothing_are_found() {
    let router = ("HorizontalPodAutoscaler", "trunkline-router");
    check("kafka", router, "/spec/metrics/0/external/metric/name", json!("trunkline_lag"), "is not what");
    let selector = "/spec/metrics/0/external/metric/selector/matchLabels/group";
    check("kafka", router, selector, json!("routers"), "asks for");
    check("kafka", router, "/spec/maxReplicas", json!(13), "would idle");
    check("kafka", router, "/spec/minReplicas", GONE, "one pod alone");
    check("kafka", router, "/spec/scaleTargetRef/name", json!("router"), "not there");
    check("kafka", ROUTER, "/spec/replicas", json!(2), "twice or never");
    check_container("/resources/requests/cpu", GONE, "request none");
}

#[test]
fn networks_that_are_too_wide_or_too_narrow_are_found() {
    let policy = |name: &str, field: &str, value: Value, expected: &str| {
        check("rabbitmq", ("NetworkPolicy", name), field, value, expected);
    };
    policy("trunkline-nothing", "/spec/policyTypes", json!(["Ingress"]), "Egress is not denied");
    policy("trunkline-nothing", "/spec/podSelector", json!({}), "is not denied");
    policy("trunkline-broker", "/spec/egress/0/ports/0/port", json!(5672), "5672");
    policy("trunkline-broker", "/spec/egress/0/ports", GONE, "every port");
    policy("trunkline-store", "/kind", json!("Service"), "is permitted for");
    policy("trunkline-dns", "/spec/egress/0/ports/0", GONE, "is permitted for");
    policy("trunkline-gateway", "/spec/ingress/0/ports/0/port", json!("admin"), "is permitted for");
    policy("trunkline-console", "/spec/ingress/0/from", GONE, "everybody may come in");
    policy("trunkline-metrics", "/spec/ingress/0/from", json!([]), "everybody may come in");
    policy("trunkline-dispatcher", "/spec/egress/0/to/0/ipBlock/except", GONE, "private networks");
    policy("trunkline-dispatcher", "/spec/egress/0/to", GONE, "private networks");
}
