//! The job for a Prometheus in the cluster is one that Prometheus takes, and keeps the port that every pod has.

use serde_json::Value;
use trunkline_tests::prometheus::Prometheus;
use trunkline_tests::workspace;

use super::objects::{Overlay, documents, list};
use super::service::Service;

const JOB: &str = "deploy/kubernetes/prometheus/scrape.yml";

/// How pods are found. Debian builds Prometheus without what speaks to Kubernetes.
const DISCOVERY: &str = "kubernetes_sd_configs:
      - role: pod
        namespaces:
          names: [trunkline]
";

#[test]
fn prometheus_takes_the_job() {
    let job = workspace::read(JOB);
    assert!(job.contains(DISCOVERY), "{JOB} finds pods in another way");
    if Prometheus::is_here("prometheus_takes_the_job") {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, job.replace(DISCOVERY, "static_configs: []\n")).unwrap();
        Prometheus::judge("config", &file);
    }
}

#[test]
fn the_job_keeps_every_pod() {
    let jobs = &documents(&workspace::root().join(JOB))[0];
    let [job] = list(jobs, "/scrape_configs") else { panic!("one job is one bus") };
    assert!(job["job_name"].as_str().unwrap().contains("trunkline"), "the alarms would not know it");
    let kept = &list(job, "/relabel_configs")[0];
    let sources: Vec<&str> = list(kept, "/source_labels").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        sources,
        [
            "__meta_kubernetes_pod_label_app_kubernetes_io_part_of",
            "__meta_kubernetes_pod_container_port_name"
        ]
    );
    let (part, port) = kept["regex"].as_str().unwrap().split_once(';').unwrap();
    let overlay = Overlay::of_files("kafka");
    for deployment in overlay.all("Deployment") {
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/part-of"], part);
        assert!(Service::of(deployment).port(port).is_some(), "no port is called {port}");
    }
}
