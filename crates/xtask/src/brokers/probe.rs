//! Asks a server a real request: a port is open before the server behind it can answer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A server that listens but is not ready often answers nothing at all.
const LIMIT: Duration = Duration::from_secs(1);
/// No answer to these requests is longer.
const LARGEST: usize = 1 << 20;

/// What to ask, and where.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Probe {
    Kafka(SocketAddr),
    RabbitMq(SocketAddr),
    Postgres(SocketAddr),
    /// Erlang's port mapper, which RabbitMQ needs.
    PortMapper(SocketAddr),
}

impl Probe {
    /// Whether the server answers as one that serves.
    pub(crate) fn answers(self) -> bool {
        match self {
            Probe::Kafka(address) => kafka(address),
            Probe::RabbitMq(address) => rabbitmq(address),
            Probe::Postgres(address) => postgres(address),
            Probe::PortMapper(address) => connect(address).is_some(),
        }
    }
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    Some(stream)
}

/// Sends a request and reads the first `count` bytes of the answer.
fn ask(address: SocketAddr, request: &[u8], count: usize) -> Option<Vec<u8>> {
    let mut stream = connect(address)?;
    stream.write_all(request).ok()?;
    let mut answer = vec![0; count];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// Metadata (key 3) version 8, of no topic: its answer lists the brokers that are registered and not fenced.
fn kafka(address: SocketAddr) -> bool {
    const REQUEST: [u8; 25] = [
        0, 0, 0, 21, // size of what follows
        0, 3, 0, 8, 0, 0, 0, 7, // key, version, correlation id
        0, 4, b't', b'e', b's', b't', // client id
        0, 0, 0, 0, 0, 0, 0, // no topics; create none, no authorized operations of cluster and topics
    ];
    let listed = || {
        let mut stream = connect(address)?;
        stream.write_all(&REQUEST).ok()?;
        let mut size = [0; 4];
        stream.read_exact(&mut size).ok()?;
        let size = usize::try_from(u32::from_be_bytes(size)).ok().filter(|size| *size <= LARGEST)?;
        let mut answer = vec![0; size];
        stream.read_exact(&mut answer).ok()?;
        // Correlation id, throttle time, count of brokers.
        let count: [u8; 4] = answer.get(8..12)?.try_into().ok()?;
        Some(i32::from_be_bytes(count) >= 1)
    };
    listed().unwrap_or(false)
}

/// The protocol header of AMQP 0-9-1; a server that is ready answers with the method frame `connection.start` (10, 10).
fn rabbitmq(address: SocketAddr) -> bool {
    ask(address, b"AMQP\x00\x00\x09\x01", 11)
        .is_some_and(|answer| answer[0] == 1 && answer[7..] == [0, 10, 0, 10])
}

/// A start-up packet of version 3.0; a server that is ready answers `R`, one that still starts an error.
fn postgres(address: SocketAddr) -> bool {
    const PARAMETERS: &[u8] = b"user\0postgres\0database\0postgres\0\0";
    let mut request = Vec::new();
    request.extend((PARAMETERS.len() as u32 + 8).to_be_bytes());
    request.extend((3_u32 << 16).to_be_bytes());
    request.extend(PARAMETERS);
    ask(address, &request, 1).is_some_and(|answer| answer == b"R")
}
