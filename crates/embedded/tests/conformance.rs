//! The embedded engine keeps the port's contracts.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use trunkline_broker::conformance::{FIRST, Fixture};
use trunkline_broker::{Broker, ChannelName, GroupName};
use trunkline_embedded::{Disk, EmbeddedBroker, Options, OsDisk};

trunkline_broker::conformance!(Embedded);

const UNSETTLED: usize = 500;

/// A directory, opened by at most one handle at a time. A crash goes on in a copy of it, made as the files were in that
/// moment; nothing that the old handle writes later is seen again.
struct Embedded {
    root: TempDir,
    life: Mutex<Life>,
}

struct Life {
    number: u32,
    running: Option<(EmbeddedBroker, Arc<MortalDisk>)>,
}

impl Embedded {
    fn directory(&self, number: u32) -> PathBuf {
        self.root.path().join(number.to_string())
    }
}

impl Fixture for Embedded {
    async fn start(_: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root, life: Mutex::new(Life { number: 0, running: None }) }
    }

    async fn instance(&self, name: &str) -> Option<Arc<dyn Broker>> {
        if name != FIRST {
            return None;
        }
        let mut life = self.life.lock().await;
        if life.running.is_none() {
            let disk = Arc::<MortalDisk>::default();
            let options = Options {
                max_unsettled_records: UNSETTLED,
                drain: Duration::from_millis(400),
                wal_bytes: 1 << 20,
                disk: Arc::<MortalDisk>::clone(&disk),
                ..Options::default()
            };
            let directory = self.directory(life.number);
            let broker =
                spawn_blocking(move || EmbeddedBroker::open(&directory, options)).await.unwrap().unwrap();
            life.running = Some((broker, disk));
        }
        let (broker, _) = life.running.as_ref().unwrap();
        Some(Arc::new(broker.clone()))
    }

    async fn restart(&self) {
        let mut life = self.life.lock().await;
        if let Some((broker, _)) = life.running.take() {
            spawn_blocking(move || broker.close()).await.unwrap();
        }
    }

    async fn crash(&self, name: &str) {
        assert_eq!(name, FIRST);
        let mut life = self.life.lock().await;
        let Some((broker, disk)) = life.running.take() else { return };
        let (from, to) = (self.directory(life.number), self.directory(life.number + 1));
        life.number += 1;
        spawn_blocking(move || {
            disk.dead.store(true, Ordering::SeqCst);
            // What was already synced may still be on its way to its confirmation.
            std::thread::sleep(Duration::from_millis(20));
            copy_as_after_a_kill(&from, &to).unwrap();
            broker.close();
        })
        .await
        .unwrap();
    }

    async fn elapse_consumer_timeout(&self) {}

    async fn break_group(&self, _channel: &ChannelName, _group: &GroupName) -> bool {
        false
    }

    fn unsettled_bound(&self) -> usize {
        UNSETTLED
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(250)
    }
}

/// A disk that confirms nothing from some moment on.
#[derive(Debug, Default)]
struct MortalDisk {
    dead: AtomicBool,
}

impl Disk for MortalDisk {
    fn sync(&self, wal: &File) -> io::Result<()> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(io::Error::other("the process was killed"));
        }
        OsDisk.sync(wal)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        OsDisk.free_bytes(directory)
    }
}

/// Copies what a killed process would leave behind, while it may still be writing: the side file first, since it is
/// never ahead, the log last, since it repeats what a checkpoint is just moving. Once more if the log began anew meanwhile.
fn copy_as_after_a_kill(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.join("records"), to.join("records"));
    fs::create_dir_all(&to)?;
    let mut files: Vec<PathBuf> =
        fs::read_dir(from)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let kind =
        |path: &PathBuf| path.to_string_lossy().rsplit(['-', '/']).next().unwrap_or_default().to_owned();
    files.retain(|path| !matches!(kind(path).as_str(), "lock" | "shm"));
    let rank = |path: &PathBuf| match kind(path).as_str() {
        "wal" => 2,
        name if name.ends_with(".db") => 1,
        _ => 0,
    };
    files.sort_by_key(rank);
    let generation = || -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        for log in files.iter().filter(|path| rank(path) == 2) {
            File::open(log)?.take(32).read_to_end(&mut header)?;
        }
        Ok(header)
    };
    loop {
        let before = generation()?;
        for file in &files {
            fs::copy(file, to.join(file.file_name().unwrap_or_default()))?;
        }
        if generation()? == before {
            return Ok(());
        }
    }
}
