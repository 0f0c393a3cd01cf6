//! Where the files of the runs are.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tempfile::TempDir;

/// A folder for the files of the runs; figures of synced work mean something only on a disk.
#[derive(Debug, Clone)]
pub struct Place {
    folder: PathBuf,
}

impl Place {
    /// A folder, made if it is missing; `target/bench` of this workspace by default.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(folder: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder =
            folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench"));
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self { folder: folder.canonicalize()? })
    }

    /// A folder for one run, removed with it.
    ///
    /// # Errors
    /// It can't be made.
    pub fn fresh(&self) -> anyhow::Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.folder)?)
    }

    /// What kind of file system it is on (`ext4`, `tmpfs`), as the system's table of mounts says.
    ///
    /// # Errors
    /// The table can't be read.
    pub fn file_system(&self) -> anyhow::Result<String> {
        let mounts = std::fs::read_to_string("/proc/self/mounts")?;
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        });
        let holding = mounts.filter(|(point, _)| self.folder.starts_with(point));
        // The longest is the nearest; of two at one point the later hides the earlier, which is what max_by_key gives.
        let nearest = holding.max_by_key(|(point, _)| point.len());
        Ok(nearest.map_or("unknown", |(_, kind)| kind).to_owned())
    }
}
