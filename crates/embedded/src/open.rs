//! Opening a directory.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};

use crate::catalog::Catalog;
use crate::checkpoint::{self, Checkpoints};
use crate::confirm::Confirmer;
use crate::core::Core;
use crate::error::{Damage, DamageReport, OpenError};
use crate::files::Files;
use crate::load::{LoadError, Loaded, load};
use crate::lock::DirectoryLock;
use crate::options::Options;
use crate::salvage::{finish, salvage};
use crate::schema::{self, Purpose};
use crate::side::{Expected, SideFile};
use crate::writer::{State, Writer, write_state};

/// Commits that may wait to be made durable together.
const COMMITS_AHEAD: usize = 32;

/// An open directory and the threads that work on it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) core: Arc<Core>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) lock: DirectoryLock,
}

/// Takes the directory, proves what it holds and starts the threads.
pub(crate) fn open(directory: &Path, options: Options) -> Result<Opened, OpenError> {
    std::fs::create_dir_all(directory).map_err(io_error(directory, "create the directory"))?;
    let directory = directory.canonicalize().map_err(io_error(directory, "find the directory"))?;
    let lock = DirectoryLock::take(&directory)?;
    let files = Files::of(&directory);
    finish(&files)?;
    std::fs::create_dir_all(&files.records).map_err(io_error(&files.records, "create the directory"))?;
    let loaded = load_or_create(&files, &options)?;
    start(&files, options, loaded, lock)
}

fn load_or_create(files: &Files, options: &Options) -> Result<Loaded, OpenError> {
    match examine(files, options) {
        Ok(Some(loaded)) => Ok(loaded),
        Ok(None) => create(files, options.page_bytes),
        Err(LoadError::Damaged(findings)) if options.accept_damage => {
            salvage(files, &DamageReport { findings })?;
            match examine(files, options) {
                Ok(Some(loaded)) => Ok(loaded),
                Ok(None) => create(files, options.page_bytes),
                Err(error) => Err(open_error(files, error)),
            }
        }
        Err(error) => Err(open_error(files, error)),
    }
}

/// Looks at what is there; `None` when nothing was ever stored.
fn examine(files: &Files, options: &Options) -> Result<Option<Loaded>, LoadError> {
    let missing = |what: &str| Err(LoadError::Damaged(vec![Damage::whole(what)]));
    let expected = match SideFile::read(&files.side) {
        Ok(expected) => Some(expected),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => return missing("the side file can't be read"),
    };
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    match (expected, files.database.exists()) {
        (None, false) => Ok(None),
        // A crash while the directory was created leaves this behind.
        (Some(Expected { commits: Some(0), .. }), _) if !is_created(files) => Ok(None),
        (None, true) => missing("the side file is missing, so a lost tail could not be noticed"),
        (Some(_), false) => missing("the database is missing"),
        (Some(expected), true) => {
            if expected.blemished {
                tracing::warn!(directory = %files.directory.display(), "the side file was damaged in one of its two copies");
            }
            let size = bytes(&files.database) + bytes(&files.wal);
            load(&files.records, &expected, size <= options.verify_bytes).map(Some)
        }
    }
}

/// Whether the database was created whole: then its state says so.
fn is_created(files: &Files) -> bool {
    files.database.exists()
        && schema::connect(&files.records, Purpose::Read)
            .and_then(|connection| {
                connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get::<_, i64>(0))
            })
            .map_or(true, |tables| tables > 0)
}

/// Creates an empty directory's files: first the side file, so that a database without one is always damage.
pub(crate) fn create(files: &Files, page_bytes: u32) -> Result<Loaded, OpenError> {
    for path in [&files.database, &files.wal, &files.records.join("records.db-shm")] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(path, "remove what a crash left of an empty database")(error));
            }
            _ => {}
        }
    }
    SideFile::create(&files.side, 0, &[]).map_err(io_error(&files.side, "create the side file"))?;
    let state = State::first();
    let created = create_tables(&files.records, state, page_bytes).map_err(database_error(&files.directory));
    let state = created?;
    sync(&files.wal)
        .and_then(|()| sync(&files.records))
        .and_then(|()| sync(&files.directory))
        .map_err(io_error(&files.wal, "sync"))?;
    let mut loaded = Loaded::default();
    loaded.base.state = state;
    Ok(loaded)
}

pub(crate) fn create_tables(records: &Path, mut state: State, page_bytes: u32) -> rusqlite::Result<State> {
    let mut connection = schema::connect(records, Purpose::Create { page_bytes })?;
    let transaction = connection.transaction()?;
    for (_, sql) in schema::TABLES {
        transaction.execute_batch(sql)?;
    }
    state.catalog = schema::catalog_checksum(&transaction)?;
    write_state(&transaction, &state)?;
    transaction.commit()?;
    Ok(state)
}

fn start(files: &Files, options: Options, loaded: Loaded, lock: DirectoryLock) -> Result<Opened, OpenError> {
    let catalog = Catalog::default();
    loaded.channels.into_iter().for_each(|channel| catalog.insert(channel));
    let directory = &files.directory;
    let database = database_error(directory);
    let core = Arc::new(Core::new(directory.clone(), options, catalog));

    let connection = schema::connect(&files.records, Purpose::Write).map_err(&database)?;
    // The log exists once a transaction was begun.
    connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").map_err(&database)?;
    let wal = OpenOptions::new().read(true).write(true).open(&files.wal);
    let wal = wal.map_err(io_error(&files.wal, "open the log"))?;
    allocate(&wal, core.options.wal_bytes);
    // What a killed process had written but not yet made durable is served from now on, so it must stay.
    core.options.disk.sync(&wal).map_err(io_error(&files.wal, "sync the log"))?;
    let side = SideFile::open(&files.side).map_err(io_error(&files.side, "open the side file"))?;

    let page_bytes =
        connection.query_row("PRAGMA page_size", [], |row| row.get::<_, i64>(0)).map_err(&database)?;
    let usual = i64::try_from(core.options.wal_bytes).unwrap_or(i64::MAX) / page_bytes * 3 / 4;
    let busy = Arc::new(AtomicBool::new(false));
    let (ask, asked) = sync_channel(1);
    let (committed, steps) = sync_channel(COMMITS_AHEAD);
    let confirmer = Arc::new(Confirmer::new(core.clone(), wal, side));
    let to_confirmer = (confirmer.clone(), committed);
    let checkpoints = Checkpoints::new(ask, busy.clone(), usual);
    let writer =
        Writer::new(core.clone(), connection, loaded.base, to_confirmer, checkpoints).map_err(&database)?;
    let background = schema::connect(&files.records, Purpose::Write).map_err(&database)?;
    let of_checkpoints = core.clone();
    let mut threads = vec![
        spawn(&core, "embedded-write", move || writer.run())?,
        spawn(&core, "embedded-sync", move || confirmer.run(&steps))?,
        spawn(&core, "embedded-move", move || checkpoint::run(&of_checkpoints, &background, &asked, &busy))?,
    ];
    for _ in 0..core.options.readers.max(1) {
        let connection = schema::connect(&files.records, Purpose::Read).map_err(&database)?;
        let of_reader = core.clone();
        threads.push(spawn(&core, "embedded-read", move || crate::reader::run(&of_reader, &connection))?);
    }
    Ok(Opened { core, threads, lock })
}

/// Lets nobody wait for a thread that panicked.
struct Alarm(Arc<Core>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a thread of the embedded engine panicked, it is closed");
            self.0.abandon();
        }
    }
}

fn spawn(
    core: &Arc<Core>,
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, OpenError> {
    let alarm = Alarm(core.clone());
    let work = move || {
        let _alarm = alarm;
        work();
    };
    Builder::new().name(name.to_owned()).spawn(work).map_err(io_error(&core.directory, "start a thread"))
}

/// Gives the log its usual size at once: writing over blocks that exist costs the disk half of what growing does. On a
/// disk that is too small for it the log grows as it must.
fn allocate(wal: &File, bytes: u64) {
    let zeros = vec![0; 1 << 18];
    let mut at = wal.metadata().map_or(u64::MAX, |metadata| metadata.len());
    while at < bytes {
        let step = zeros.len().min(usize::try_from(bytes - at).unwrap_or(zeros.len()));
        if let Err(error) = wal.write_all_at(&zeros[..step], at) {
            tracing::debug!(%error, "the log could not be allocated in advance");
            return;
        }
        at += step as u64;
    }
    if let Err(error) = wal.sync_all() {
        tracing::debug!(%error, "the log could not be allocated in advance");
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn open_error(files: &Files, error: LoadError) -> OpenError {
    let directory = files.directory.clone();
    match error {
        LoadError::Damaged(findings) => OpenError::Damaged { directory, report: DamageReport { findings } },
        LoadError::Newer(found) => OpenError::Newer { directory, found, known: schema::FORMAT },
        LoadError::Failed(source) => OpenError::Database { directory, source },
    }
}

pub(crate) fn io_error(path: &Path, what: &'static str) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { path: path.clone(), what, source }
}

pub(crate) fn database_error(directory: &Path) -> impl Fn(rusqlite::Error) -> OpenError {
    let directory = directory.to_owned();
    move |source| OpenError::Database { directory: directory.clone(), source }
}
