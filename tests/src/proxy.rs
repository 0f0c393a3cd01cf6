//! A proxy between clients and a server, whose link can be cut in the ways a network is.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// How a proxy treats what clients and server say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Everything arrives.
    Up,
    /// Nothing arrives and nothing is refused, as when a firewall drops packets. What was said comes later, as TCP
    /// sends it again.
    Silent,
    /// Only what the server says arrives.
    Deaf,
    /// Only what clients say arrives.
    Mute,
    /// Every connection is reset, new ones too.
    Reset,
}

/// Carries connections from a port of 127.0.0.1 to another one. It has a runtime of its own, so that it outlives the test
/// that started it and no busy test delays it.
pub struct Proxy {
    runtime: Option<Runtime>,
    link: watch::Sender<Link>,
    port: u16,
}

impl Proxy {
    /// Listens on `port` and carries to `to`; [`Link::Up`] at first.
    pub fn start(port: u16, to: SocketAddr) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (link, watched) = watch::channel(Link::Up);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(connection(client, to, watched.clone()));
            }
        });
        Self { runtime: Some(runtime), link, port }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Changes the link, for connections that stand as well.
    pub fn set(&self, link: Link) {
        self.link.send_replace(link);
    }

    /// Changes the link for a time.
    pub async fn during(&self, link: Link, time: Duration) {
        self.set(link);
        tokio::time::sleep(time).await;
        self.set(Link::Up);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Link {
    fn reaches_server(self) -> bool {
        matches!(self, Self::Up | Self::Mute)
    }

    fn reaches_client(self) -> bool {
        matches!(self, Self::Up | Self::Deaf)
    }
}

async fn connection(mut client: TcpStream, to: SocketAddr, link: watch::Receiver<Link>) {
    let mut cut = link.clone();
    let carried = async {
        // A server that is not there is no connection, once the link lets us know.
        if link.clone().wait_for(|link| link.reaches_server()).await.is_err() {
            return;
        }
        let Ok(mut server) = TcpStream::connect(to).await else { return };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::join!(
            carry(from_client, to_server, link.clone(), Link::reaches_server),
            carry(from_server, to_client, link.clone(), Link::reaches_client),
        );
    };
    let reset = tokio::select! {
        reset = cut.wait_for(|link| *link == Link::Reset) => reset.is_ok(),
        () = carried => false,
    };
    if reset {
        // Closing with no time to linger is a reset; the server sees its end closed.
        drop(client.set_zero_linger());
    }
}

/// Carries one direction to its end, while the link lets it.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut link: watch::Receiver<Link>,
    open: fn(Link) -> bool,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let opened = link.wait_for(|link| open(*link)).await.is_ok();
        if !opened || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    // The other side hears of the end as well.
    drop(to.shutdown().await);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::ports;

    const SHORT: Duration = Duration::from_millis(200);

    /// A proxy before a server that says everything again.
    async fn echo() -> (Proxy, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let to = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        let port = ports::free();
        (Proxy::start(port, to), port)
    }

    async fn hears(stream: &mut TcpStream) -> Option<u8> {
        tokio::time::timeout(SHORT, stream.read_u8()).await.ok()?.ok()
    }

    #[tokio::test]
    async fn what_is_said_while_the_link_is_silent_comes_when_it_is_up() {
        let (proxy, port) = echo().await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_u8(1).await.unwrap();
        assert_eq!(hears(&mut stream).await, Some(1));
        for cut in [Link::Silent, Link::Deaf, Link::Mute] {
            proxy.set(cut);
            stream.write_u8(2).await.unwrap();
            assert_eq!(hears(&mut stream).await, None, "{cut:?}");
            proxy.set(Link::Up);
            assert_eq!(hears(&mut stream).await, Some(2), "{cut:?}");
        }
    }

    #[tokio::test]
    async fn a_reset_ends_every_connection_until_the_link_is_up() {
        let (proxy, port) = echo().await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_u8(1).await.unwrap();
        assert_eq!(hears(&mut stream).await, Some(1));
        proxy.set(Link::Reset);
        let began = Instant::now();
        assert!(stream.read_u8().await.is_err());
        // The reset may come before we have seen that the connection stands.
        if let Ok(mut other) = TcpStream::connect(("127.0.0.1", port)).await {
            assert!(other.read_u8().await.is_err());
        }
        assert!(began.elapsed() < SHORT * 10, "nobody was told");
        proxy.set(Link::Up);
        let mut third = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        third.write_u8(3).await.unwrap();
        assert_eq!(hears(&mut third).await, Some(3));
    }
}
