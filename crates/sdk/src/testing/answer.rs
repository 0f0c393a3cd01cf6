//! What a [`Receiver`](super::Receiver) answers.

use std::time::Duration;

use bytes::Bytes;

/// An answer, or what a troubled platform does in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    pub(super) delay: Duration,
    pub(super) manner: Manner,
}

/// How the answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// At once, with its length.
    Whole,
    /// The connection stays open and nothing comes.
    Hang,
    /// The connection closes without a word.
    Close,
    /// The head and so many bytes of the body, then the connection closes.
    CutAfter(usize),
    /// Byte by byte, the head included, with a pause after each.
    Drip(Duration),
    /// The body, chunked, again and again until the other side hangs up.
    Endless,
}

impl Answer {
    /// A status without a body.
    pub fn status(status: u16) -> Self {
        let (headers, body) = (Vec::new(), Bytes::new());
        Self { status, headers, body, delay: Duration::ZERO, manner: Manner::Whole }
    }

    /// 200.
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// A redirect.
    pub fn redirect(location: &str) -> Self {
        Self::status(302).header("location", location)
    }

    /// Takes the request and never answers.
    pub fn hang() -> Self {
        Self { manner: Manner::Hang, ..Self::ok() }
    }

    /// Takes the request and closes the connection without an answer.
    pub fn close() -> Self {
        Self { manner: Manner::Close, ..Self::ok() }
    }

    /// 200 with a body that never ends.
    pub fn endless() -> Self {
        Self { manner: Manner::Endless, ..Self::ok().body(vec![b'x'; 64 * 1024]) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// After a time.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Byte by byte, with a pause after each.
    #[must_use]
    pub fn dripping(mut self, pause: Duration) -> Self {
        self.manner = Manner::Drip(pause);
        self
    }

    /// Announced whole, but the connection closes after so many bytes of the body.
    #[must_use]
    pub fn cut_after(mut self, bytes: usize) -> Self {
        self.manner = Manner::CutAfter(bytes);
        self
    }

    /// The head as it goes over the wire.
    pub(super) fn head(&self) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Unknown");
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.manner {
            Manner::Endless => head.push_str("transfer-encoding: chunked\r\n\r\n"),
            _ => head.push_str(&format!("content-length: {}\r\n\r\n", self.body.len())),
        }
        head.into_bytes()
    }
}
