//! HTTP/1.1 by hand, because a library would not misbehave as told.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use chrono::Utc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Book, ReceivedRequest};
use crate::testing::answer::{Answer, Manner};

/// The longest head a request may have.
const LONGEST_HEAD: usize = 256 * 1024;

/// Serves every connection until dropped.
pub(super) async fn accept(listener: TcpListener, book: Arc<Book>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _peer)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(stream, book.clone()));
    }
}

/// Ends when the connection does, or with an answer that ends it.
async fn serve(mut stream: TcpStream, book: Arc<Book>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let answer = book.take(request);
        tokio::time::sleep(answer.delay).await;
        if !send(&mut stream, &answer).await? {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` when the other side is done.
async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<ReceivedRequest>> {
    let end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > LONGEST_HEAD || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&buffer.split_to(end)).into_owned();
    buffer.advance(4);
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap_or_default().split(' ');
    let method = request_line.next().unwrap_or_default().to_owned();
    let target = request_line.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let value = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    if value("expect").is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        chunks(stream, buffer).await?
    } else {
        let length = value("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        take(stream, buffer, length).await?
    };
    Ok(Some(ReceivedRequest { method, target, headers, body, received: Utc::now() }))
}

/// Exactly `length` bytes.
async fn take(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.split_to(length).freeze())
}

/// A chunked body, without trailers.
async fn chunks(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let end = loop {
            if let Some(end) = find(buffer, b"\r\n") {
                break end;
            }
            if stream.read_buf(buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let line = String::from_utf8_lossy(&buffer.split_to(end)).into_owned();
        buffer.advance(2);
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).map_err(io::Error::other)?;
        let chunk = take(stream, buffer, length + 2).await?;
        if length == 0 {
            return Ok(body.freeze());
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

/// Sends an answer; whether the connection may go on.
async fn send(stream: &mut TcpStream, answer: &Answer) -> io::Result<bool> {
    match answer.manner {
        Manner::Close => return Ok(false),
        Manner::Hang => {
            // Reading notices when the other side gives up; whatever it still sends is of no interest.
            let mut ignored = [0; 1024];
            while stream.read(&mut ignored).await? > 0 {}
            return Ok(false);
        }
        Manner::Whole => {
            stream.write_all(&answer.head()).await?;
            stream.write_all(&answer.body).await?;
        }
        Manner::CutAfter(bytes) => {
            stream.write_all(&answer.head()).await?;
            stream.write_all(&answer.body[..bytes.min(answer.body.len())]).await?;
            stream.flush().await?;
            return Ok(false);
        }
        Manner::Drip(pause) => {
            for byte in answer.head().iter().chain(&answer.body) {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(pause).await;
            }
        }
        Manner::Endless => {
            stream.write_all(&answer.head()).await?;
            let chunk = [format!("{:x}\r\n", answer.body.len()).as_bytes(), &answer.body, b"\r\n"].concat();
            // Ends with the error that the other side has hung up.
            loop {
                stream.write_all(&chunk).await?;
            }
        }
    }
    stream.flush().await?;
    Ok(true)
}

fn find(buffer: &[u8], pattern: &[u8]) -> Option<usize> {
    buffer.windows(pattern.len()).position(|window| window == pattern)
}
