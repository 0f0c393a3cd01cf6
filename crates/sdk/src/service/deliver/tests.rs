//! The whole process of an adapter, but for its command line and its signals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_core::Delivery;

use super::*;
use crate::destination::{Context, Delivered, DeliveryError, SetupError};
use crate::testing::{TestBus, delivery, sample_event};

/// Writes the ids of events into a file, each in a line.
struct Notebook {
    settings: NotebookSettings,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NotebookSettings {
    file: String,
}

impl Destination for Notebook {
    const NAME: &'static str = "notebook";
    type Settings = NotebookSettings;

    async fn connect(settings: NotebookSettings, _context: &Context) -> Result<Self, SetupError> {
        Ok(Self { settings })
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        use std::io::Write;
        let open = std::fs::OpenOptions::new().create(true).append(true).open(&self.settings.file);
        let written = open.and_then(|mut file| writeln!(file, "{}", delivery.event.id()));
        written.map_err(|error| DeliveryError::transient("the file can't be written").caused_by(error))?;
        Ok(Delivered::default())
    }
}

fn configuration(folder: &Path, names: &[&str]) -> String {
    let mut text = "version: 1\ndispatcher: { admin: \"127.0.0.1:0\" }\ndestinations:\n".to_owned();
    for name in names {
        let file = folder.join(name).display().to_string();
        text.push_str(&format!(
            "  {name}: {{ adapter: notebook, external: true, settings: {{ file: {file:?} }} }}\n"
        ));
    }
    text
}

fn options(path: &Path) -> Options {
    Options::parse(["-c".to_owned(), path.display().to_string()].into_iter(), |_| None).unwrap()
}

/// What stands in a file, once it stands there.
async fn written(file: &Path) -> String {
    for _look in 0..500 {
        match std::fs::read_to_string(file) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("nothing was written to {}", file.display());
}

#[tokio::test]
async fn a_process_delivers_what_waits_and_takes_a_changed_configuration_over() {
    // The bus is closed again before the process opens the same directory.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trunkline.yaml");
    let both = configuration(folder.path(), &["one", "two"]);
    let bus = TestBus::in_folder(folder, &both, Adapters::new()).await.unwrap();
    for destination in ["one", "two"] {
        let waits = Delivery { destination: destination.to_owned(), ..delivery(sample_event()) };
        bus.deliver(&waits).await.unwrap();
    }
    let folder = bus.close().await;
    std::fs::write(&path, configuration(folder.path(), &["one"])).unwrap();

    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let started = options(&path);
    let watcher = Watcher::new(&path).every(Duration::from_millis(5));
    let process = tokio::spawn(async move { run::<Notebook>(&started, watcher, shutdown).await });
    assert_eq!(written(&folder.path().join("one")).await, "sample-1\n");
    assert!(!folder.path().join("two").exists());

    std::fs::write(&path, both).unwrap();
    assert_eq!(written(&folder.path().join("two")).await, "sample-1\n");

    stop.cancel();
    process.await.unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("one")).unwrap(), "sample-1\n", "once");
}

#[tokio::test]
async fn a_start_that_fails_says_why_by_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trunkline.yaml");
    let started = async |text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut options = options(&path);
        options.wait = Duration::ZERO;
        let process = run::<Notebook>(&options, Watcher::new(&path), CancellationToken::new());
        Exit::of(&process.await.unwrap_err())
    };
    assert_eq!(started("version: 2").await, Exit::Configuration);
    assert_eq!(started("version: 1").await, Exit::Configuration, "nothing to host");
    assert_eq!(started("version: 1\ndestinations: { a: { adapter: notebook } }").await, Exit::Configuration);
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let text = configuration(folder.path(), &["one"]).replace("127.0.0.1:0", &address.to_string());
    assert_eq!(started(&text).await, Exit::Unavailable);
    let text = format!("broker: \"kafka://host:9092\"\n{}", configuration(folder.path(), &["one"]));
    assert_eq!(started(&text).await, Exit::Unavailable);
}

#[tokio::test]
async fn an_unchanged_destination_keeps_its_adapter_and_a_bad_one_changes_nothing() {
    let read = |names: &[&str]| {
        let text = configuration(Path::new("/tmp"), names);
        let root = trunkline_core::config::parse("t.yaml", &text).unwrap();
        Shared::read(root, Path::new("."), &mut Diagnostics::new()).unwrap()
    };
    let mut roster = Roster::new(Adapters::new().destination::<Notebook>(), "here");
    let all = |_: &_, entry: &crate::config::DestinationEntry| Some(entry.clone());
    let first = roster.update(&read(&["one"]), all).await.unwrap();
    let bad = roster
        .update(&read(&["one", "two"]), |name, entry| {
            let adapter = if name.as_str() == "two" { "noteboook" } else { "notebook" };
            Some(crate::config::DestinationEntry { adapter: Some(adapter.to_owned()), ..entry.clone() })
        })
        .await;
    let Err(refused) = bad else { panic!("an unknown adapter was made") };
    assert!(refused.to_string().contains("did you mean `notebook`?"), "{refused}");
    let both = roster.update(&read(&["one", "two"]), all).await.unwrap();
    assert_eq!(both.len(), 2);
    assert!(Arc::ptr_eq(&first[0].adapter, &both[0].adapter));
}
