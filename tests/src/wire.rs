//! HTTP/1.1 by hand, for requests that no client library would make.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes and reads until the other side closes, or until the time is over; an answer that says it stays open is
/// read as far as it came. The status is the first answer's, `None` when there is none.
pub async fn exchange(address: (&str, u16), bytes: &[u8], within: Duration) -> (Option<u16>, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early closes while we still write; what it answered is what counts.
    drop(stream.write_all(bytes).await);
    finish(stream, within).await
}

/// Reads what is left of a connection, as [`exchange`].
pub async fn finish(mut stream: TcpStream, within: Duration) -> (Option<u16>, String) {
    let mut read = Vec::new();
    drop(tokio::time::timeout(within, stream.read_to_end(&mut read)).await);
    let text = String::from_utf8_lossy(&read).into_owned();
    let status =
        text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    (status, text)
}
