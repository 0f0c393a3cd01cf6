//! Lets a client that was refused before it had sent everything read why.
//!
//! A connection that is closed while bytes still come in is reset, and with it the answer on its way is lost: the client
//! sees a broken connection instead of 413 or 401. So the rest of a body that nobody read is read and thrown away, up to a
//! length and a time; nothing of it is kept.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming, SizeHint};

/// The most that is thrown away of one body, in bytes; who announced more does not wait for an answer to begin.
const MOST: usize = 8 << 20;
/// How long is read in vain.
const LONGEST: Duration = Duration::from_secs(2);

/// A body that is read to its end, by whom it is for or, what is left of it when it is dropped, in vain.
pub(crate) struct Lingering {
    /// Taken when it is dropped.
    body: Option<Incoming>,
}

impl Lingering {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body: Some(body) }
    }
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Whether it ended, was too long or took too long: nothing depends on it.
            runtime.spawn(async move { drop(tokio::time::timeout(LONGEST, discard(body)).await) });
        }
    }
}

/// Reads a body and keeps nothing of it.
async fn discard(mut body: Incoming) {
    let mut read = 0;
    while read < MOST
        && let Some(Ok(frame)) = body.frame().await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}
