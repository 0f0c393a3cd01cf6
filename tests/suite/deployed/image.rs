//! The image as an engine builds it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use trunkline_tests::docker::Docker;
use trunkline_tests::{compose, heavy, workspace};

/// What the image may take, in bytes.
const SIZE: u64 = 80 << 20;

/// A container that is removed when dropped.
struct Container<'d>(&'d Docker, String);

impl Drop for Container<'_> {
    fn drop(&mut self) {
        self.0.output(["rm", "--force", "--volumes", &self.1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_is_small_has_no_shell_and_is_not_root() {
    let _place = heavy::load().await;
    let Some(docker) = Docker::get("the_image_is_small_has_no_shell_and_is_not_root").await else { return };
    docker.build();
    let image = docker.inspect(compose::IMAGE);
    let size = image["Size"].as_u64().unwrap();
    println!("the image takes {size} bytes");
    assert!(size <= SIZE, "{size} bytes");
    assert_eq!(image["Config"]["User"], "65532:65532");
    let shell = docker.output(["run", "--rm", "--entrypoint", "/bin/sh", compose::IMAGE, "-c", "true"]);
    assert!(!shell.status.success(), "there is a shell in the image");
    listed(&docker);
    serves(&docker).await;
}

/// It holds a list of what is linked into the binary.
fn listed(docker: &Docker) {
    let made = docker.run(["create", compose::IMAGE]);
    let container = Container(docker, made.trim().to_owned());
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.json");
    docker.run([
        "cp",
        &format!("{}:/usr/share/sbom/trunkline.cdx.json", container.1),
        &list.display().to_string(),
    ]);
    let list: Value = serde_json::from_slice(&std::fs::read(list).unwrap()).unwrap();
    assert_eq!(
        (&list["bomFormat"], &list["metadata"]["component"]["name"]),
        (&"CycloneDX".into(), &"trunkline".into())
    );
    let components = list["components"].as_array().unwrap();
    let named: BTreeSet<&str> =
        components.iter().filter_map(|component| component["name"].as_str()).collect();
    for linked in ["rdkafka-sys", "lapin", "tokio", "trunkline-core", "openssl-src"] {
        assert!(named.contains(linked), "{linked} is not in the list");
    }
    for not in ["xtask", "proptest", "trunkline-tests"] {
        assert!(!named.contains(not), "{not} is in the list, and not in the binary");
    }
    let without = components.iter().filter(|component| component["licenses"].is_null()).count();
    assert_eq!(without, 0, "components without a licence");
}

/// With a root that can't be written to it comes up, and its own health check says so.
async fn serves(docker: &Docker) {
    let folder = workspace::root().join("deploy/compose");
    let mount = |from: &str, to: &str| format!("{}:{to}:ro", folder.join(from).display());
    let (configuration, secret) = (
        mount("receiver.yaml", "/etc/trunkline/trunkline.yaml"),
        mount("secrets/receiver", "/run/secrets/receiver"),
    );
    let arguments = ["run", "--detach", "--read-only", "--volume", &configuration, "--volume", &secret];
    let arguments = arguments.into_iter().chain(["--volume", "/var/lib/trunkline", compose::IMAGE]);
    let container = Container(docker, docker.run(arguments).trim().to_owned());
    docker.healthy(&container.1, Duration::from_secs(90)).await;
    docker.run(["stop", "--time", "15", &container.1]);
    let state = &docker.inspect(&container.1)["State"];
    assert_eq!(state["ExitCode"], 0, "{state}\n{}", docker.logs(&container.1));
}
