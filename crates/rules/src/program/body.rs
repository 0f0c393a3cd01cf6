//! What a transform made, as bytes.

use std::io;

use bytes::Bytes;
use trunkline_core::Body;
use trunkline_core::event::is_json_type;
use vrl::value::Value as Vrl;

use super::RunError;

/// The form a subscription's bodies have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// JSON, keys in ascending order, under this media type.
    Json(String),
    /// The text the transform makes, as it is, under this media type.
    Text(String),
}

impl Form {
    /// The form for a configured content type; `application/json` where there is none.
    pub(crate) fn of(content_type: Option<&str>) -> Self {
        match content_type {
            None => Form::Json("application/json".to_owned()),
            Some(json) if is_json_type(json) => Form::Json(json.to_owned()),
            Some(other) => Form::Text(other.to_owned()),
        }
    }

    /// The body for a value, at most `limit` bytes long.
    pub(crate) fn body(&self, value: &Vrl, limit: usize) -> Result<Body, RunError> {
        let (bytes, content_type) = match (self, value) {
            (Form::Json(content_type), value) => (json(value, limit)?, content_type),
            (Form::Text(content_type), Vrl::String(text)) => (text.as_bytes().clone(), content_type),
            (Form::Text(content_type), Vrl::Bytes(bytes)) => (bytes.clone(), content_type),
            (Form::Text(content_type), other) => {
                let made = other.kind_str().to_owned();
                return Err(RunError::NotText { content_type: content_type.clone(), made });
            }
        };
        if bytes.len() > limit {
            return Err(RunError::TooLong(limit));
        }
        Ok(Body { bytes, content_type: content_type.clone() })
    }
}

fn json(value: &Vrl, limit: usize) -> Result<Bytes, RunError> {
    let mut written = Limited { bytes: Vec::with_capacity(256), left: limit };
    // The values of a program are all JSON can say; only the limit makes this fail.
    serde_json::to_writer(&mut written, value).map_err(|_too_long| RunError::TooLong(limit))?;
    Ok(written.bytes.into())
}

/// Collects bytes until there are too many.
struct Limited {
    bytes: Vec<u8>,
    left: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
