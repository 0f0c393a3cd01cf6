//! What producers know: which events they sent, and which were acknowledged.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

/// The source of every tagged event.
pub const SOURCE: &str = "oracle";

/// What names a tagged event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Who made it.
    pub producer: u32,
    /// The ordering key, one of the producer's own.
    pub key: u32,
    /// Its place among those of the key, from 0.
    pub seq: u32,
}

impl Tag {
    /// The event, in structured JSON.
    pub fn event(self) -> Value {
        json!({
            "specversion": "1.0",
            "id": self.id(),
            "source": SOURCE,
            "type": "oracle.tagged",
            "partitionkey": format!("{}/{}", self.producer, self.key),
            "datacontenttype": "application/json",
            "data": { "producer": self.producer, "key": self.key, "seq": self.seq },
        })
    }

    /// The event's id.
    pub fn id(self) -> String {
        format!("{}-{}-{}", self.producer, self.key, self.seq)
    }

    /// The tag of an event's id, where it is one.
    pub fn parse(id: &str) -> Option<Self> {
        let mut parts = id.split('-').map(|part| part.parse().ok());
        let mut next = || parts.next().flatten();
        Some(Self { producer: next()?, key: next()?, seq: next()? })
    }
}

/// What was sent, and what was acknowledged; the latter on disk, synced before the producer goes on.
pub struct Ledger {
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    sent: BTreeSet<Tag>,
    acked: BTreeSet<Tag>,
}

impl Ledger {
    /// A ledger in a new file.
    pub fn create(path: &Path) -> Self {
        let file = File::create_new(path).unwrap();
        Self { inner: Mutex::new(Inner { file, sent: BTreeSet::new(), acked: BTreeSet::new() }) }
    }

    /// Notes that an event is about to be sent.
    pub fn sending(&self, tag: Tag) {
        self.inner.lock().unwrap().sent.insert(tag);
    }

    /// Notes that an event was acknowledged.
    pub fn acked(&self, tag: Tag) {
        let mut inner = self.inner.lock().unwrap();
        writeln!(inner.file, "{}", tag.id()).unwrap();
        inner.file.sync_data().unwrap();
        inner.acked.insert(tag);
    }

    /// Notes that events were acknowledged together.
    pub fn acked_all(&self, tags: &[Tag]) {
        let mut inner = self.inner.lock().unwrap();
        let lines: String = tags.iter().map(|tag| tag.id() + "\n").collect();
        inner.file.write_all(lines.as_bytes()).unwrap();
        inner.file.sync_data().unwrap();
        inner.acked.extend(tags);
    }

    /// Everything that was sent, acknowledged or not.
    pub fn all_sent(&self) -> BTreeSet<Tag> {
        self.inner.lock().unwrap().sent.clone()
    }

    /// Everything that was acknowledged.
    pub fn all_acked(&self) -> BTreeSet<Tag> {
        self.inner.lock().unwrap().acked.clone()
    }
}
