//! An adapter as a team writes it: a crate of its own, outside this workspace, with one dependency of ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use trunkline_sdk::broker::{ChannelName, Outgoing};
use trunkline_sdk::core::DestinationName;
use trunkline_sdk::{Delivery, service, testing};
use trunkline_tests::{eventually, workspace};

const MANIFEST: &str = include_str!("../outside/Cargo.toml.template");
const MAIN: &str = include_str!("../outside/main.rs");
const CONFIGURATION: &str = include_str!("../outside/trunkline.yaml");

/// Writes the crate into a folder and builds it, beside what the workspace has built.
fn build(folder: &Path) -> PathBuf {
    let sdk = workspace::root().join("crates/sdk");
    std::fs::create_dir(folder.join("src")).unwrap();
    std::fs::write(folder.join("Cargo.toml"), MANIFEST.replace("SDK_PATH", sdk.to_str().unwrap())).unwrap();
    std::fs::write(folder.join("src/main.rs"), MAIN).unwrap();
    std::fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let target = workspace::metadata().target_directory.as_std_path();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--offline"]).current_dir(folder).env("CARGO_TARGET_DIR", target);
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    target.join("release/shouting-adapter")
}

#[test]
fn it_depends_on_the_sdk_alone_and_is_short() {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    let ours: Vec<&String> = manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .filter(|name| name.starts_with("trunkline"))
        .collect();
    assert_eq!(ours, ["trunkline-sdk"]);
    assert!(MAIN.lines().count() <= 80, "{} lines", MAIN.lines().count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_builds_runs_and_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let binary = tokio::task::spawn_blocking(move || build(&path)).await.unwrap();
    let configuration = folder.path().join("trunkline.yaml");
    let admin = format!("127.0.0.1:{}", trunkline_tests::ports::free());
    std::fs::write(&configuration, CONFIGURATION).unwrap();
    publish(folder.path()).await;
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut child = Command::new(binary)
        .args(["-c", "trunkline.yaml", "--admin", &admin])
        .current_dir(folder.path())
        .env_remove("TRUNKLINE_CONFIG")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let said = eventually("the delivery", Duration::from_secs(30), async || {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{status}: {}", std::fs::read_to_string(folder.path().join("log")).unwrap());
        }
        std::fs::read_to_string(folder.path().join("shouted.txt")).ok().filter(|text| text.ends_with('\n'))
    })
    .await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .unwrap();
    let status = eventually("its end", Duration::from_secs(30), async || child.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
    assert_eq!(said, "COMMERCE.ORDER.CREATED sample-1!\n");
}

/// Puts a delivery on the channel of the adapter's destination, in its own embedded directory, as a router would.
async fn publish(folder: &Path) {
    let root = trunkline_sdk::core::config::parse("trunkline.yaml", CONFIGURATION).unwrap();
    let mut diagnostics = trunkline_sdk::core::config::Diagnostics::new();
    let shared = trunkline_sdk::config::Shared::read(root, folder, &mut diagnostics).unwrap();
    let client = service::BrokerClient::of("test", "outside");
    let broker = service::open_broker(&shared, &client).await.unwrap();
    service::ensure_channels(&*broker, &shared).await.unwrap();
    let name = DestinationName::parse("shouter").unwrap();
    let delivery = Delivery { destination: name.to_string(), ..testing::sample_delivery() };
    let record = Outgoing::new(ChannelName::deliver(&name), delivery.event.key(), delivery.encode());
    broker.publish(vec![record]).await.unwrap();
}
