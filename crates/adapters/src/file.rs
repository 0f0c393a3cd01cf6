//! A file of JSON lines: a destination for a start without any server, and for keeping what went by.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Deserialize;
use trunkline_sdk::bytes::Bytes;
use trunkline_sdk::core::event::is_json_type;
use trunkline_sdk::core::json;
use trunkline_sdk::core::{Examination, Fault};
use trunkline_sdk::{
    Body, Context, Delivered, Delivery, DeliveryError, Destination, Preview, SetupError, TypeCatalogue,
};

/// Settings of a `file` destination.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// The file. It and its folders are made when they are missing. Relative to the configuration's folder.
    path: PathBuf,
}

/// Appends one line per delivery: the transform's body, or the event as a CloudEvent in structured JSON.
///
/// A delivery succeeds when its line is on disk. The file is opened for each, so one that was moved away by a log
/// rotation is begun anew, and no line goes to a file that nobody sees.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    catalogue: Arc<TypeCatalogue>,
    /// One writer at a time in this process; a lock on the file keeps others away.
    writing: Arc<Mutex<()>>,
}

impl Destination for File {
    const NAME: &'static str = "file";
    type Settings = FileSettings;

    async fn connect(settings: FileSettings, context: &Context) -> Result<Self, SetupError> {
        let path = context.folder.join(&settings.path);
        if settings.path.file_name().is_none() || path.is_dir() {
            let problem = format!("`{}` is no file", path.display());
            return Err(SetupError::new("path", problem).hint("name a file, such as ./events.jsonl"));
        }
        Ok(Self { path, catalogue: context.catalogue.clone(), writing: Arc::default() })
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<Delivered, DeliveryError> {
        let line = line(delivery, &self.catalogue)?;
        let request = format!("append {}", self.path.display());
        let (path, writing) = (self.path.clone(), self.writing.clone());
        // Once begun the line is written whole, also when the caller stops waiting for it.
        let written = tokio::task::spawn_blocking(move || {
            let _writing = writing.lock().unwrap_or_else(PoisonError::into_inner);
            append(&path, &line)
        });
        match written.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked))) {
            Ok(()) => Ok(Delivered { request, ..Delivered::default() }),
            Err(error) => Err(failure(error).requested(request)),
        }
    }

    fn preview(&self, delivery: &Delivery) -> Result<Preview, DeliveryError> {
        let body = Bytes::from(line(delivery, &self.catalogue)?);
        Ok(Preview { target: format!("append {}", self.path.display()), headers: Vec::new(), body })
    }

    async fn examine(&self, found: &mut Examination<String>) {
        examine(&self.path, found);
    }
}

/// Whether the file can be appended to, or made, as far as that is seen without doing it.
fn examine(path: &Path, found: &mut Examination<String>) {
    found.written.push(path.to_owned());
    let problem = if path.exists() {
        OpenOptions::new()
            .append(true)
            .open(path)
            .err()
            .map(|error| format!("{} can't be written to: {error}", path.display()))
    } else {
        let above = path.ancestors().skip(1).find(|folder| folder.exists());
        let above = above.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let can_hold =
            fs::metadata(above).is_ok_and(|metadata| metadata.is_dir() && !metadata.permissions().readonly());
        (!can_hold).then(|| format!("{} can't be made: {} takes no files", path.display(), above.display()))
    };
    if let Some(problem) = problem {
        let remedy = "give it to the user that the bus runs as, or name another file";
        found.error("path".to_owned(), Fault::Permission, problem, remedy);
    }
}

/// What may not be written will not be writable a moment later either; a full disk may.
fn failure(error: io::Error) -> DeliveryError {
    let detail = format!("the file can't be written: {error}");
    let failure = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::IsADirectory => {
            DeliveryError::halted(detail)
        }
        _ => DeliveryError::transient(detail),
    };
    failure.caused_by(error)
}

/// One line with its newline. Text that is not JSON becomes a JSON string.
fn line(delivery: &Delivery, catalogue: &TypeCatalogue) -> Result<Vec<u8>, DeliveryError> {
    let mut line = match &delivery.body {
        None => delivery.event.to_json(catalogue).map_err(|error| {
            DeliveryError::rejected(format!("the event can't be written as JSON: {error}")).caused_by(error)
        })?,
        Some(body) => json_of(body)?,
    };
    // Inside JSON a bare line break is only ever white space.
    for byte in &mut line {
        if matches!(*byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}

fn json_of(body: &Body) -> Result<Vec<u8>, DeliveryError> {
    let text = std::str::from_utf8(&body.bytes)
        .map_err(|error| DeliveryError::rejected("the body is no text").caused_by(error))?;
    if is_json_type(&body.content_type) {
        json::check(text).map_err(|error| {
            DeliveryError::rejected(format!("the body is no JSON: {error}")).caused_by(error)
        })?;
        return Ok(text.as_bytes().to_vec());
    }
    serde_json::to_vec(text).map_err(|error| DeliveryError::rejected("the body is no text").caused_by(error))
}

/// Appends a line and waits until the disk has it. After an error the file is as it was before.
fn append(path: &Path, line: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let is_new = !path.exists();
    let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
    file.lock()?;
    let before = file.seek(SeekFrom::End(0))?;
    let written = write_line(&mut file, before, line);
    if written.is_err() {
        // The first error is the one to report.
        file.set_len(before).ok();
        return written;
    }
    if is_new {
        // A new file is found again after a power cut only when its folder is synced too.
        fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn write_line(file: &mut fs::File, length: u64, line: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    if length > 0 {
        // A process that was killed may have left half a line behind.
        let mut last = [0];
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            bytes.push(b'\n');
        }
    }
    bytes.extend_from_slice(line);
    file.write_all(&bytes)?;
    file.sync_data()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::testing::{context, delivery, event};

    async fn file(path: &Path) -> File {
        let settings = serde_json::from_value(serde_json::json!({ "path": path })).unwrap();
        File::connect(settings, &context()).await.unwrap()
    }

    #[tokio::test]
    async fn every_delivery_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/events.jsonl");
        let file = file(&path).await;
        let plain = delivery(event().json("{\n \"a\": 1.10\r\n}").build().unwrap(), None);
        let body = |text: &str, content_type: &str| {
            let body = Body { bytes: Bytes::from(text.to_owned()), content_type: content_type.to_owned() };
            delivery(event().build().unwrap(), Some(body))
        };
        let delivered = file.deliver(&plain).await.unwrap();
        assert_eq!(delivered.request, format!("append {}", path.display()));
        file.deliver(&body("{ \"b\":\n2 }", "application/json")).await.unwrap();
        file.deliver(&body("two\nlines", "text/plain")).await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("\"a\": 1.10") && lines[0].contains("\"id\":\"e1\""), "{}", lines[0]);
        assert_eq!(lines[1..], ["{ \"b\": 2 }", "\"two\\nlines\""]);
        assert_eq!(file.preview(&plain).unwrap().body, format!("{}\n", lines[0]).as_bytes());
        let refused = file.deliver(&body("{ no json", "application/json")).await.unwrap_err();
        assert_eq!(refused.class, trunkline_sdk::FailureClass::Rejected);
    }

    #[tokio::test]
    async fn a_relative_path_starts_at_the_configurations_folder() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context { folder: folder.path().into(), ..context() };
        let settings: FileSettings = serde_json::from_str(r#"{"path": "./sub/events.jsonl"}"#).unwrap();
        let file = File::connect(settings.clone(), &context).await.unwrap();
        file.deliver(&delivery(event().json("1").build().unwrap(), None)).await.unwrap();
        assert!(folder.path().join("sub/events.jsonl").is_file());
        fs::create_dir(folder.path().join("folder")).unwrap();
        let settings: FileSettings = serde_json::from_str(r#"{"path": "folder"}"#).unwrap();
        assert_eq!(File::connect(settings, &context).await.unwrap_err().field, "path");
    }

    #[tokio::test]
    async fn half_a_line_and_a_rotation_cost_no_delivery() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "{\"half\":").unwrap();
        let file = file(&path).await;
        let one = delivery(event().json("1").build().unwrap(), None);
        file.deliver(&one).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        fs::rename(&path, folder.path().join("old.jsonl")).unwrap();
        file.deliver(&one).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    #[tokio::test]
    async fn concurrent_deliveries_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let file = Arc::new(file(&path).await);
        let writers = (0..32).map(|number| {
            let file = file.clone();
            tokio::spawn(async move {
                let text = format!("\"{}\"", number.to_string().repeat(2000));
                file.deliver(&delivery(event().json(text).build().unwrap(), None)).await.unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().filter(|line| json::check(line).is_ok()).count(), 32);
    }

    #[tokio::test]
    async fn a_full_disk_leaves_the_file_as_it_was_and_is_transient() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            println!("skipped: this system has no /dev/full");
            return;
        }
        let error =
            file(full).await.deliver(&delivery(event().json("1").build().unwrap(), None)).await.unwrap_err();
        assert_eq!(error.class, trunkline_sdk::FailureClass::Transient, "{error}");
    }
}
