//! Where everything is in a directory.

use std::path::{Path, PathBuf};

/// The database's name; SQLite adds `-wal` and `-shm`.
pub(crate) const DATABASE: &str = "records.db";

/// The files of a directory. The database and what belongs to it are in a directory of their own within it, so that all
/// of it can be replaced by one renaming.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) directory: PathBuf,
    /// What is below.
    pub(crate) records: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) side: PathBuf,
}

impl Files {
    pub(crate) fn of(directory: &Path) -> Self {
        Self::within(directory, "records")
    }

    /// New files that are to take the place of damaged ones.
    pub(crate) fn salvaged(&self) -> Self {
        Self::within(&self.directory, "salvaged")
    }

    /// Where damaged files are set aside at a time.
    pub(crate) fn aside(&self, time: &str) -> PathBuf {
        let name = format!("damaged-{}", time.replace(':', ""));
        let numbered = |number: u32| {
            self.directory.join(if number == 0 { name.clone() } else { format!("{name}.{number}") })
        };
        (0..).map(numbered).find(|path| !path.exists()).unwrap_or_else(|| self.directory.join(&name))
    }

    fn within(directory: &Path, name: &str) -> Self {
        let records = directory.join(name);
        Self {
            directory: directory.to_owned(),
            database: records.join(DATABASE),
            wal: records.join(format!("{DATABASE}-wal")),
            side: records.join("records.side"),
            records,
        }
    }
}
