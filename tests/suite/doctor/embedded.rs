//! The embedded engine and the SQLite store beside a running instance, and a directory that lost its side file.

use std::time::Duration;

use trunkline_sdk::testing::Receiver;
use trunkline_tests::{Instance, Setup, fixture};

use super::Told;
use crate::SOON;

/// Names, sizes and contents of all files below a folder but those that a running process goes on writing.
fn files(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = all.filter(|entry| entry.file_type().is_file() && !entry.path().ends_with("up.log"));
    files.map(|entry| (entry.path().display().to_string(), std::fs::read(entry.path()).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_running_bus_nothing_is_found_and_nothing_changed() {
    let receiver = Receiver::start().await.unwrap();
    let destination = fixture::http("crm", &receiver.url("/crm"), "");
    let instance = Instance::start(Setup::new(format!("destinations:\n{destination}"))).await;
    let told = Told::of(instance.folder(), &[], &[], 0).await;
    told.counts(0);
    assert!(told.said("seen", "broker").contains("6 of 6 channels are there"), "{told:?}");
    assert!(told.said("seen", "store").contains("schema "), "{told:?}");
    let asked = receiver.requests();
    assert!(asked.iter().all(|request| request.method == "OPTIONS" && request.body.is_empty()), "{asked:?}");

    // At rest not a byte differs.
    assert!(instance.terminate(SOON).await.success());
    let before = files(&instance.folder().join("data"));
    Told::of(instance.folder(), &[], &[], 0).await.counts(0);
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let after = files(&instance.folder().join("data"));
    assert_eq!(names(&before), names(&after));
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        // SQLite's index of its log, which it makes anew whenever it likes.
        assert!(before == after || name.ends_with("-shm"), "{name} was changed");
    }

    // Another number of partitions, as somebody edits the file; then a lost side file.
    let file = instance.folder().join("trunkline.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replace("destinations:", "channels: { partitions: 7 }\ndestinations:");
    std::fs::write(&file, &changed).unwrap();
    let line = 1 + changed.lines().position(|line| line.starts_with("channels:")).unwrap();
    let told = Told::of(instance.folder(), &[], &[], 1).await;
    let place = format!("{line} channels.partitions");
    told.has("TL-B001", &place, "`events` has 4 partitions, but 7", "Changing the number of partitions");
    std::fs::write(&file, &text).unwrap();
    std::fs::remove_file(instance.folder().join("data/records/records.side")).unwrap();
    let told = Told::of(instance.folder(), &[], &[], 1).await;
    told.has("TL-D002", "2 broker", "records.side can't be read", "restore the directory from a copy");
}

#[tokio::test]
async fn a_directory_that_can_not_be_and_a_disk_without_room() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    let text = "version: 1\nbroker: embedded:./data\nstore: sqlite:./store.db\n";
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let told = Told::of(folder.path(), &[], &[], 1).await;
    told.has("TL-D003", "2 broker", "is no directory", "name another directory");
    told.counts(1);
    assert!(!folder.path().join("store.db").exists(), "doctor makes nothing");

    std::fs::remove_file(folder.path().join("data")).unwrap();
    Told::of(folder.path(), &[], &[], 0).await.counts(0);
    let told = Told::of(folder.path(), &["--room", "900000GiB"], &[], 1).await;
    told.has("TL-D008", "2 broker", "free, less than 900000GiB", "free some");
    told.has("TL-D008", "3 store", "free, less than 900000GiB", "free some");
    assert!(!folder.path().join("data").exists(), "doctor makes nothing");
}

#[tokio::test]
async fn it_ends_by_itself_when_nobody_answers() {
    // A listener that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let text = format!(
        "version: 1\nbroker: embedded:./data\ndestinations:\n  crm:\n    adapter: http\n    settings:\n      url: \
         http://127.0.0.1:{port}/x\n      allow_private: true\n"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trunkline.yaml"), text).unwrap();
    let arguments = ["--within", "2s"];
    let told = tokio::time::timeout(Duration::from_secs(60), Told::of(folder.path(), &arguments, &[], 1));
    let told = told.await.expect("doctor did not end");
    told.has("TL-D001", "7 destinations.crm.settings", "not examined to its end within 2s", "--within");
    told.counts(1);
}
