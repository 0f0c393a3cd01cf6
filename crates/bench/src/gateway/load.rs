//! The load: connections that send one event after the other, each waiting for its answer.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ledger::Payloads;

/// Sends `each` events on each of `connections` connections, each with a key of its own; how long it took from when all
/// were connected.
///
/// # Errors
/// An answer other than 202.
pub async fn send(address: &str, connections: u32, each: u32) -> anyhow::Result<Duration> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let started = Instant::now();
    let sending = |(key, stream)| tokio::spawn(send_on(stream, address.to_owned(), key, each));
    let tasks: Vec<_> = (0..).zip(streams).map(sending).collect();
    for task in tasks {
        task.await??;
    }
    Ok(started.elapsed())
}

async fn send_on(mut stream: TcpStream, address: String, key: u32, each: u32) -> anyhow::Result<()> {
    let payloads = Payloads::default();
    let mut request = String::new();
    let mut answer = Vec::with_capacity(1024);
    for sequence in 0..each {
        let body = payloads.make(key, sequence);
        request.clear();
        write!(
            request,
            "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nce-specversion: 1.0\r\nce-id: {key}-{sequence}\r\n\
             ce-source: bench\r\nce-type: bench.order.created\r\nce-partitionkey: key-{key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        request.push_str(str::from_utf8(&body)?);
        stream.write_all(request.as_bytes()).await?;
        read_answer(&mut stream, &mut answer).await?;
    }
    Ok(())
}

/// Reads one answer whole.
async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) -> anyhow::Result<()> {
    answer.clear();
    loop {
        ensure!(stream.read_buf(answer).await? > 0, "the server closed a connection");
        let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = str::from_utf8(&answer[..end])?;
        if !head.starts_with("HTTP/1.1 202 ") {
            bail!("the server answered: {}", String::from_utf8_lossy(answer));
        }
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.context("an answer without a length")?.1.trim().parse()?;
        if answer.len() >= end + 4 + length {
            return Ok(());
        }
    }
}
