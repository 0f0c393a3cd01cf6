//! A configuration from a file, or from the files of a folder, merged.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use trunkline_core::config::{Diagnostic, Diagnostics, Node, Place, Severity, merge, parse};

use super::code;

/// A configuration as it stands on disk.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The document.
    pub root: Node,
    /// Where its relative paths start: the file's folder, or the folder of the files.
    pub folder: PathBuf,
    /// The files it was read from, in the order they were merged.
    pub files: Vec<PathBuf>,
}

/// Loads a file, or the `*.yaml` and `*.yml` files of a folder (not of folders below it), merged in the order of their
/// names.
///
/// # Errors
/// What can't be read or parsed, or stands in two files; all of it.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let files = files_of(path).map_err(|error| unreadable(path, &error))?;
    if files.is_empty() {
        let none = io::Error::new(io::ErrorKind::NotFound, "there is no *.yaml or *.yml file in it");
        return Err(unreadable(path, &none));
    }
    let mut diagnostics = Diagnostics::new();
    let mut documents = Vec::with_capacity(files.len());
    for file in &files {
        match std::fs::read_to_string(file) {
            Ok(text) => match parse(&file.display().to_string(), &text) {
                Ok(document) => documents.push(document),
                Err(diagnostic) => diagnostics.push(diagnostic),
            },
            Err(error) => diagnostics.extend(unreadable(file, &error).into_sorted()),
        }
    }
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let root = merge(documents).map_err(|twice| {
        diagnostics.extend(twice);
        diagnostics
    })?;
    let folder = if path.is_dir() { path.to_owned() } else { parent(path) };
    Ok(Loaded { root, folder, files })
}

/// The files of a configuration, by name. A file is itself; a folder's are its `*.yaml` and `*.yml` files, hidden ones
/// left out (editors and Kubernetes keep copies under such names).
pub(super) fn files_of(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if yaml && !hidden && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Diagnostics {
    let file: Arc<str> = path.display().to_string().into();
    let hint = match error.kind() {
        io::ErrorKind::NotFound => {
            "name the configuration's file or folder with -c or TRUNKLINE_CONFIG".to_owned()
        }
        _ => "make the file readable for this user".to_owned(),
    };
    let mut diagnostics = Diagnostics::new();
    diagnostics.push(Diagnostic {
        severity: Severity::Error,
        place: Place { file, line: 1, column: 1 },
        path: String::new(),
        message: format!("the configuration can't be read: {error}"),
        hint: Some(hint),
        code: code::UNREADABLE,
    });
    diagnostics
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn only(diagnostics: Diagnostics) -> Diagnostic {
        let mut list = diagnostics.into_sorted();
        assert_eq!(list.len(), 1, "{list:?}");
        list.remove(0)
    }

    #[test]
    fn a_missing_file_says_how_to_name_one() {
        let diagnostic = only(load(Path::new("/nowhere/trunkline.yaml")).unwrap_err());
        assert_eq!((diagnostic.code, &*diagnostic.place.file), (code::UNREADABLE, "/nowhere/trunkline.yaml"));
        assert!(diagnostic.hint.unwrap().contains("TRUNKLINE_CONFIG"));
    }

    #[test]
    fn a_folder_is_merged_and_starts_its_paths() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(only(load(folder.path()).unwrap_err()).code, code::UNREADABLE, "an empty folder");
        std::fs::write(folder.path().join("b.yml"), "destinations: { b: { adapter: file } }").unwrap();
        std::fs::write(folder.path().join("a.yaml"), "version: 1\ndestinations: { a: { adapter: file } }")
            .unwrap();
        std::fs::write(folder.path().join("notes.txt"), "][").unwrap();
        std::fs::write(folder.path().join(".a.yaml"), "][").unwrap();
        let loaded = load(folder.path()).unwrap();
        let names: Vec<&str> =
            loaded.root.get("destinations").unwrap().entries().map(|(key, _)| &*key.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(loaded.folder, folder.path());
        assert_eq!(loaded.files.len(), 2);

        std::fs::write(folder.path().join("c.yaml"), "][").unwrap();
        std::fs::write(folder.path().join("d.yaml"), "][").unwrap();
        assert_eq!(load(folder.path()).unwrap_err().into_sorted().len(), 2, "every broken file is named");
    }

    #[test]
    fn paths_start_at_the_files_folder() {
        assert_eq!(parent(Path::new("trunkline.yaml")), Path::new("."));
        assert_eq!(parent(Path::new("/etc/trunkline/trunkline.yaml")), Path::new("/etc/trunkline"));
    }
}
